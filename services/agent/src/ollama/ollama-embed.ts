/** One call of /api/embed, which answers as a whole; every way of failing becomes the error that the caller sees. */
import { DroverError } from "@drover/platform";
import { type JsonObject, parseObject } from "./json-values.ts";
import { type OllamaAnswer, type OllamaAsker, OllamaTimeoutError } from "./ollama-client.ts";
import { classifyOllamaFailure, type OllamaErrorContext, ollamaUnreachable } from "./ollama-error.ts";

export interface EmbedCall extends OllamaErrorContext {
  readonly body: string;
  /** Beside Ollama's own: the trace that the call belongs to. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Until the answer is complete. */
  readonly timeoutMs: number;
  /** Aborting destroys the socket; the call then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

export interface EmbedAnswer {
  readonly object: JsonObject;
  readonly text: string;
}

export async function embedOnce(client: OllamaAsker, call: EmbedCall): Promise<EmbedAnswer> {
  const { body, headers, signal, timeoutMs, model, node } = call;
  let answer: OllamaAnswer;
  try {
    answer = await client.ask({ method: "POST", path: "/api/embed", body, headers, signal }, timeoutMs);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!(cause instanceof OllamaTimeoutError)) throw ollamaUnreachable(call, cause);
    const message = `No answer of model "${model}" came from Ollama on node "${node}" within ${timeoutMs / 1000} s.`;
    throw new DroverError("first_token_timeout", message, { facts: { model, node }, cause });
  }
  if (answer.status !== 200) throw classifyOllamaFailure({ ...call, ...answer, isEmbed: true });
  return { object: parseAnswer(answer.text, call), text: answer.text };
}

function parseAnswer(text: string, { model, node }: OllamaErrorContext): JsonObject {
  if (text.trim() === "") {
    const message = `Ollama on node "${node}" ended its answer of model "${model}" without a word. Its log may say why.`;
    throw new DroverError("no_output", message, { facts: { model, node } });
  }
  const object = parseObject(text);
  if (object !== undefined) return object;
  const message = `Ollama on node "${node}" sent something that is no answer for model "${model}".`;
  throw new DroverError("node_protocol_error", message, { facts: { model, node } });
}
