/**
 * One line of a streamed answer after the other, and how the stream ends: `done`, an error inside of the stream, an end
 * without either (routes.go streams errors as a last line with status 200; llm/server.go ends silently on token repeats).
 */
import { DroverError } from "@drover/platform";
import { asObject, type JsonObject, parseObject } from "./json-values.ts";
import { classifyOllamaFailure, type OllamaErrorContext } from "./ollama-error.ts";

export interface OllamaLine {
  readonly kind: "chunk" | "done";
  readonly object: JsonObject;
  /** The line as it came, for the values whose text must not be touched. */
  readonly text: string;
}

export interface LineReader {
  /** Chunks read so far, the last one with `done` not counted. */
  readonly chunks: number;
  readonly isDone: boolean;
  /** Throws a DroverError when the line is an error, or no JSON object. */
  read(text: string): OllamaLine;
  /** The error for a stream that ended without `done`. */
  endedEarly(): DroverError;
  /** The error for a connection that broke after the first line. */
  broken(cause: unknown): DroverError;
  /** The error for a stream in which nothing came for `silentMs`. */
  stalled(silentMs: number): DroverError;
  /** The error for bytes that are no NDJSON. */
  unreadable(cause: unknown): DroverError;
}

/** Ollama ends a stream silently after 30 equal tokens (llm/server.go Completion, "token repeat limit"). */
const REPEATS_BEFORE_GUARD = 30;

export function createLineReader(context: OllamaErrorContext): LineReader {
  const { model, node } = context;
  let chunks = 0;
  let isDone = false;
  let lastToken: string | undefined;
  let repeats = 0;

  const facts = (): Record<string, string> => ({ model, node, chunks: String(chunks) });
  const soFar = (): string => `${chunks} chunk${chunks === 1 ? "" : "s"}`;

  const count = (object: JsonObject): void => {
    chunks++;
    const token = tokenOf(object)?.trim();
    repeats = token !== undefined && token === lastToken ? repeats + 1 : 1;
    lastToken = token;
  };

  const unreadable = (cause: unknown): DroverError =>
    new DroverError(
      "node_protocol_error",
      `Ollama on node "${node}" sent something that is no answer for model "${model}".`,
      {
        facts: facts(),
        cause,
      },
    );

  /** Before the first chunk an error in the stream is an error like any other; after it only some kinds keep their name. */
  const inStream = (text: string): DroverError => {
    const failure = classifyOllamaFailure({ model, node, status: 500, text, isEmbed: false });
    if (chunks === 0 || failure.kind === "runner_crashed" || failure.kind === "token_repeat") return failure;
    const message = `The answer of model "${model}" broke on node "${node}" after ${soFar()}. ${failure.message}`;
    return new DroverError("stream_broken", message, { facts: facts(), cause: failure.cause });
  };

  return {
    get chunks() {
      return chunks;
    },
    get isDone() {
      return isDone;
    },
    read: (text) => {
      const object = parseObject(text);
      if (object === undefined) throw unreadable(new Error("a line of the stream is no JSON object"));
      if (object["error"] !== undefined) throw inStream(text);
      // The answer to _debug_render_only is one object without `done`.
      isDone = object["done"] === true || object["_debug_info"] !== undefined;
      if (!isDone) count(object);
      return { kind: isDone ? "done" : "chunk", object, text };
    },
    endedEarly: () => {
      if (chunks === 0) {
        const message = `Ollama on node "${node}" ended its answer of model "${model}" without a word. Its log may say why.`;
        return new DroverError("no_output", message, { facts: facts() });
      }
      if (repeats >= REPEATS_BEFORE_GUARD) {
        const message = `Ollama on node "${node}" ended the answer of model "${model}" because it repeats one token. Raise repeat_penalty or temperature.`;
        return new DroverError("token_repeat", message, { facts: facts() });
      }
      const message = `Ollama on node "${node}" ended the answer of model "${model}" after ${soFar()} without finishing it.`;
      return new DroverError("output_incomplete", message, { facts: facts() });
    },
    broken: (cause) => {
      const message = `The connection to Ollama on node "${node}" broke after ${soFar()} of model "${model}".`;
      return new DroverError("stream_broken", message, { facts: facts(), cause });
    },
    stalled: (silentMs) => {
      const message = `The answer of model "${model}" stalled on node "${node}": nothing for ${silentMs / 1000} s after ${soFar()}.`;
      return new DroverError("stream_stalled", message, { facts: facts() });
    },
    unreadable,
  };
}

function tokenOf(object: JsonObject): string | undefined {
  const content = asObject(object["message"])?.["content"] ?? object["response"];
  return typeof content === "string" ? content : undefined;
}
