/**
 * Sends what a completion gives: line by line, or as one object when the caller asked for that. Adds what every final
 * object carries. Knows nothing of prompts.
 */
import type { CompletionMetrics } from "../completion.ts";
import { errorTexts, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import type { Logprob } from "../text/logprobs.ts";

/** What every line of generate and chat has. */
export interface AnswerLine {
  readonly model: string;
  readonly created_at: string;
  readonly done: boolean;
  readonly done_reason?: string;
  readonly logprobs?: readonly Logprob[];
}

/** Ollama's guard lets so many equal chunks pass and then ends the stream, without `done`. */
const EQUAL_CHUNKS_LIMIT = 30;

const NANOSECONDS_PER_MS = 1e6;

/** `aggregate` gets all lines of an answer that was not streamed. */
export async function sendAnswer<Line extends AnswerLine>(
  lines: AsyncGenerator<Line>,
  isStreaming: boolean,
  aggregate: (lines: readonly Line[]) => object,
  exchange: Exchange,
): Promise<void> {
  const { reply } = exchange;
  if (!isStreaming) {
    const all: Line[] = [];
    for await (const line of lines) all.push(line);
    return reply.json(200, aggregate(all));
  }
  try {
    for await (const line of lines) await reply.line(line);
  } catch (error) {
    if (!reply.hasStarted() || !(error instanceof OllamaError)) throw error;
    // The status is long out: the error is a line of its own, and the stream ends like any other.
    await reply.line({ error: error.message });
  }
  await reply.endLines();
}

export function finalFields(
  reason: "stop" | "length",
  metrics: CompletionMetrics,
  totalMs: number,
  loadMs: number,
): { readonly reason: string; readonly metrics: object } {
  return {
    reason,
    metrics: {
      total_duration: nanoseconds(totalMs),
      load_duration: nanoseconds(loadMs),
      prompt_eval_count: metrics.promptTokens,
      prompt_eval_duration: nanoseconds(metrics.prefillMs),
      eval_count: metrics.tokens,
      eval_duration: nanoseconds(metrics.decodeMs),
    },
  };
}

/** Go's zero values: what an answer that never had a line looks like when it was not to be streamed. */
export const NO_LINE: AnswerLine = { model: "", created_at: "0001-01-01T00:00:00Z", done: false };

export function createdAt({ clock }: Simulation): string {
  return new Date(clock.wallMs()).toISOString();
}

/** At least 1, because Ollama leaves zeros out. */
export function nanoseconds(ms: number): number {
  return Math.max(Math.round(ms * NANOSECONDS_PER_MS), 1);
}

/** Says for each chunk whether Ollama's guard against repetition lets it pass. */
export function createRepeatGuard(): (text: string) => boolean {
  let last = "";
  let repeats = 0;
  return (text) => {
    repeats = text.trim() === last ? repeats + 1 : 0;
    last = text.trim();
    return repeats <= EQUAL_CHUNKS_LIMIT;
  };
}

/** What a caller who left would have been told. */
export function canceled(): OllamaError {
  return new OllamaError(499, errorTexts.canceled);
}
