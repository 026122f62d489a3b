/**
 * An answer of Ollama that is an error: its HTTP status and its words. The texts are those of release 0.24.0
 * (server/routes.go, server/sched.go, llm/server.go); programs match on them, so not a letter is ours.
 */
import type { ModelName } from "@drover/platform";
import { fullName } from "./model-reference.ts";

export class OllamaError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const errorTexts = {
  missingBody: "missing request body",
  modelRequired: "model is required",
  invalidModelName: "invalid model name",
  busy: "server busy, please try again.  maximum pending requests exceeded",
  canceled: "request canceled",
  tooLong: "the input length exceeds the context length",
  runnerStopped:
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details",
  runnerDiedMidStream: "an error was encountered while running the model: unexpected EOF",
  runnerDiedInEmbedding: 'do embedding request: Post "http://127.0.0.1:34567/embedding": EOF',
  loadFailed: "llama runner process has terminated: exit status 2",
  outOfMemory: "model requires more system memory (9.9 GiB) than is available (4.2 GiB)",
  rawMisuse: "raw mode does not support template, system, or context",
  topLogprobs: "top_logprobs must be between 0 and 20",
  cloudDisabled: "ollama cloud is disabled: remote model is unavailable",
  badSchema: "invalid JSON schema in format",
} as const;

export function modelNotFound(requested: string): OllamaError {
  return new OllamaError(404, `model '${requested}' not found`);
}

/** The embedding routes look the model up later than the others, and answer in other words. */
export function modelNotFoundForEmbedding(requested: string): OllamaError {
  return new OllamaError(404, `model "${requested}" not found, try pulling it first`);
}

export function capabilityMissing(name: ModelName, capabilities: readonly string[]): OllamaError {
  return new OllamaError(400, `${fullName(name)} does not support ${capabilities.join("\n")}`);
}

export function featureMissing(requested: string, feature: "chat" | "generate" | "thinking"): OllamaError {
  return new OllamaError(400, `${JSON.stringify(requested)} does not support ${feature}`);
}
