/**
 * What Ollama's failures mean: from HTTP status and text to a kind of ending. The only place that knows Ollama's error
 * texts, of the versions up to 0.24 (engine inside) and from 0.30 on (llama-server outside). Texts are compared loosely,
 * because wording varies by endpoint and version.
 */
import { DroverError, type EndingKind } from "@drover/platform";
import { asObject, parseObject } from "./json-values.ts";

/** For whom and where a failure is told. */
export interface OllamaErrorContext {
  /** Name of this node, for people. */
  readonly node: string;
  /** The model as the caller named it. */
  readonly model: string;
}

export interface OllamaFailure extends OllamaErrorContext {
  /** HTTP status; 200 for an error inside a stream. */
  readonly status: number;
  /** Body of the answer, or the text of the error line. */
  readonly text: string;
  /** /api/embed answers 400 for crashes too, so there the text decides alone. */
  readonly isEmbed: boolean;
}

/** First match wins. Sources: llm/status.go, server/sched.go, server/routes.go, llm/server.go of Ollama 0.24 and 0.33. */
const KIND_BY_TEXT: readonly (readonly [RegExp, EndingKind])[] = [
  // First, because they quote the request, which may hold any other words of this table.
  [/^(option ".*" must be of type|invalid format|invalid JSON schema)/i, "request_rejected"],
  [
    /requires more system memory|out[- ]of[- ]memory|failed to allocate|cudaMalloc failed|insufficient memory|cuda error.*alloc/i,
    "out_of_memory",
  ],
  [/token repeat limit/i, "token_repeat"],
  [
    /process has terminated|process no longer running|failed to load model|unable to load model|error loading model|timed out waiting for (llama|the llama)|llama-server binary not found|incompatible with your version|unknown model architecture|unsupported model/i,
    "load_failed",
  ],
  [
    /runner has unexpectedly stopped|error was encountered while running the model|do embedding request|post predict|unexpected EOF|connection (reset|refused)|: EOF$|wsarecv/i,
    "runner_crashed",
  ],
  [/server busy/i, "ollama_busy"],
  [/exceeds? the (available )?context|exceed_context_size|longer than the context length/i, "context_exceeded"],
  [
    /does not support (chat|generate|completion|thinking|tools|insert|vision|embeddings?|images?|audio)/i,
    "capability_missing",
  ],
  [/^model ['"].*['"] not found|not found, try pulling/i, "node_lacks_model"],
  [
    /must be of type|invalid format|invalid JSON schema|failed to parse grammar|top_logprobs|missing request body/i,
    "request_rejected",
  ],
];

/** What a 400 of /api/embed looks like when it is the caller's fault; all else there is a failure of the runner. */
const EMBED_REQUEST_TEXT = /invalid|required|missing|unmarshal|cannot|unexpected|looking for|dimensions/i;

/**
 * Where Ollama's words may go to the log. Elsewhere they may hold what was said: refusals quote the request, and a 500 for a
 * tool call that does not parse quotes the model.
 */
const WITHOUT_QUOTES: ReadonlySet<EndingKind> = new Set([
  "load_failed",
  "out_of_memory",
  "runner_crashed",
  "ollama_busy",
]);

/** Turns an answer of Ollama that is not a success into the error that the caller sees. */
export function classifyOllamaFailure(failure: OllamaFailure): DroverError {
  const words = unwrapErrorText(failure.text);
  const kind = kindOf(failure, words);
  const message = describe(kind, failure, words);
  return new DroverError(kind, message, {
    facts: { model: failure.model, node: failure.node },
    cause: new Error(
      `Ollama answered ${failure.status}${failure.status !== 400 && WITHOUT_QUOTES.has(kind) ? `: ${words}` : ""}`,
    ),
    ...(kind === "ollama_busy" ? { retryAfterMs: 1_000 } : {}),
  });
}

function kindOf(failure: OllamaFailure, words: string): EndingKind {
  // The whole text as well: llama-server names the kind beside its message.
  for (const [pattern, kind] of KIND_BY_TEXT) if (pattern.test(words) || pattern.test(failure.text)) return kind;
  const { status } = failure;
  if (status === 503) return "ollama_busy";
  if (status === 401 || status === 403) return "ollama_denied";
  // A 404 that does not speak of a model is another program's, or a route that this Ollama does not have.
  if (status === 404) return /model/i.test(words) ? "node_lacks_model" : "ollama_failed";
  if (failure.isEmbed && status === 400) return EMBED_REQUEST_TEXT.test(words) ? "request_rejected" : "ollama_failed";
  if (status === 400 || status === 413 || status === 422) return "request_rejected";
  return "ollama_failed";
}

function describe(kind: EndingKind, context: OllamaErrorContext, words: string): string {
  const where = `node "${context.node}"`;
  const what = `model "${context.model}"`;
  const said = withoutAddresses(words);
  switch (kind) {
    case "node_lacks_model":
      return `There is no ${what} on ${where}. Run "ollama pull ${context.model}" there, or name a model that it has.`;
    case "ollama_busy":
      return `Ollama on ${where} has too many loads waiting to take ${what}. Try again in a moment.`;
    case "ollama_denied":
      return `Ollama on ${where} denies ${what} to its own agent. Check OLLAMA_HOST, OLLAMA_ORIGINS and the sign-in of that Ollama.`;
    case "out_of_memory":
      return `The ${what} does not fit into the memory of ${where}. Use a smaller model, quantization or num_ctx. Ollama: ${said}`;
    case "load_failed":
      return `The ${what} could not be loaded on ${where}. The log of Ollama there says more. Ollama: ${said}`;
    case "runner_crashed":
      return `The runner of ${what} stopped unexpectedly on ${where}. Ollama starts a new one for the next call; its log says why.`;
    case "token_repeat":
      return `Ollama on ${where} ended the answer of ${what} because it repeats one token. Raise repeat_penalty or temperature.`;
    case "ollama_failed":
      return `Ollama on ${where} failed on ${what}. Ollama: ${said}`;
    default:
      return `Ollama on ${where} refuses the request for ${what}. Ollama: ${said}`;
  }
}

/** Ollama could not be asked, or the connection broke before it answered. The cause goes to the log only. */
export function ollamaUnreachable(context: OllamaErrorContext, cause: unknown): DroverError {
  const message = `Ollama on node "${context.node}" does not answer, so model "${context.model}" cannot run there. Start it (ollama serve), or check the agent's --ollama.`;
  return new DroverError("ollama_unreachable", message, { facts: { model: context.model, node: context.node }, cause });
}

/**
 * The text of an error: `{"error":"text"}`, or, from 0.30 on, llama-server's own JSON as a string inside of it.
 * Anything else (a proxy's page, nothing at all) is returned as it is, cut.
 */
export function unwrapErrorText(text: string): string {
  let words = text.trim();
  for (let depth = 0; depth < 3 && words.startsWith("{"); depth++) {
    const inner = innerMessage(words);
    if (inner === undefined) break;
    words = inner.trim();
  }
  if (words === "") return "no reason given";
  return words.length > LONGEST_WORDS ? `${words.slice(0, LONGEST_WORDS)}…` : words;
}

/** Longer texts are dumps of a grammar or of a page; the start says what is wrong. */
const LONGEST_WORDS = 500;

function innerMessage(text: string): string | undefined {
  const object = parseObject(text);
  const error = object?.["error"] ?? object?.["message"];
  if (typeof error === "string") return error;
  return asObject(error) === undefined ? undefined : JSON.stringify(error);
}

function withoutAddresses(words: string): string {
  return words.replace(/https?:\/\/[^\s"]+/g, "…").replace(/\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b/g, "…");
}
