/**
 * What of an error's words may go to a log. Callers get all of them; a log never gets what callers or models said, which Ollama
 * quotes when it refuses a request or fails on an answer.
 */
import type { DroverError } from "./drover-error.ts";
import type { EndingKind } from "./endings.ts";

/** Loads are asked for without a prompt, so Ollama's words about them quote none; the operator needs them. */
const WITHOUT_QUOTES: ReadonlySet<EndingKind> = new Set(["load_failed", "out_of_memory"]);

/** Our own words of the message: Ollama's come last, behind its name. */
export function loggedMessage({ kind, message }: DroverError): string {
  return WITHOUT_QUOTES.has(kind) ? message : message.replace(/ Ollama: [\s\S]*$/, "");
}
