/** The load of a runner, which answers nothing of interest; every way of failing becomes the error that waiting callers see. */
import { DroverError } from "@drover/platform";
import { type OllamaAnswer, type OllamaAsker, OllamaTimeoutError } from "./ollama-client.ts";
import { classifyOllamaFailure, type OllamaErrorContext, ollamaUnreachable } from "./ollama-error.ts";

export interface LoadCall extends OllamaErrorContext {
  readonly body: string;
  readonly isEmbedding: boolean;
  readonly timeoutMs: number;
}

/** Resolves when Ollama holds the runner in memory. */
export async function loadOnce(client: OllamaAsker, call: LoadCall): Promise<void> {
  const { body, isEmbedding, timeoutMs, model, node } = call;
  let answer: OllamaAnswer;
  try {
    answer = await client.ask({ method: "POST", path: isEmbedding ? "/api/embed" : "/api/generate", body }, timeoutMs);
  } catch (cause) {
    if (!(cause instanceof OllamaTimeoutError)) throw ollamaUnreachable(call, cause);
    const message = `Loading model "${model}" on node "${node}" took longer than ${timeoutMs / 1000} s and was given up.`;
    throw new DroverError("load_failed", message, { facts: { model, node }, cause });
  }
  if (answer.status !== 200) throw classifyOllamaFailure({ ...call, ...answer, isEmbed: isEmbedding });
}

/** Answered at once, before the runner is gone: Ollama unloads it before it loads another in its place. */
const UNLOAD_TIMEOUT_MS = 10_000;

/** Idle runners go at once, busy ones when their last request ends. Works for models that only embed, too. */
export async function unloadOnce(client: OllamaAsker, model: string): Promise<void> {
  const body = JSON.stringify({ model, keep_alive: 0 });
  await client.ask({ method: "POST", path: "/api/generate", body }, UNLOAD_TIMEOUT_MS);
}
