/**
 * Says beside "too long for the context" how long that context is: callers can shorten their prompt, and a router looks for a
 * node whose context is larger.
 */
import { DroverError } from "@drover/platform";

/** Any other error is returned as it is. `contextLength` in tokens, 0 when not known. */
export function withContextLength(error: unknown, contextLength: number): unknown {
  if (!(error instanceof DroverError) || error.kind !== "context_exceeded" || contextLength === 0) return error;
  const message = `${error.message} The context there is ${contextLength} tokens.`;
  const facts = { ...error.facts, context_length: String(contextLength) };
  return new DroverError(error.kind, message, { facts, cause: error.cause });
}
