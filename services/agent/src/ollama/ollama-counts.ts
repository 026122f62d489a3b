/** What Ollama counted and measured of one answer, as it says at the end. Knows nothing of what is learned from it. */
import { asCount, asNumber, type JsonObject } from "./json-values.ts";

export interface OllamaCounts {
  /** Tokens of the prompt, cached ones included (llm/server.go and llama_server.go count them all). */
  readonly promptTokens: number;
  /** Milliseconds for those of them that were not cached. */
  readonly prefillMs: number;
  /** Tokens written, the one that ended the answer included. */
  readonly tokens: number;
  readonly decodeMs: number;
}

/** From the last line of /api/generate and /api/chat; 0 is what Ollama did not say. */
export function streamCounts(done: JsonObject): OllamaCounts {
  return {
    promptTokens: asCount(done["prompt_eval_count"]),
    prefillMs: milliseconds(done["prompt_eval_duration"]),
    tokens: asCount(done["eval_count"]),
    decodeMs: milliseconds(done["eval_duration"]),
  };
}

/** From the answer of /api/embed, which only reads: all that was not loading was reading. */
export function embedCounts(answer: JsonObject): OllamaCounts {
  const prefillMs = milliseconds(answer["total_duration"]) - milliseconds(answer["load_duration"]);
  return {
    promptTokens: asCount(answer["prompt_eval_count"]),
    prefillMs: Math.max(0, prefillMs),
    tokens: 0,
    decodeMs: 0,
  };
}

function milliseconds(nanoseconds: unknown): number {
  return Math.max(0, asNumber(nanoseconds)) / 1e6;
}
