/**
 * Runs one completion on a runner: waits for a slot, spends the time of the prefill, then writes pieces at the set
 * speed. Nobody hears anything before the first piece. Knows nothing of HTTP or of chat.
 */
import type { Clock } from "@drover/platform";
import { sleep } from "@drover/platform";
import type { ModelOptions } from "./model-options.ts";
import { errorTexts, OllamaError } from "./ollama-error.ts";
import type { Runner, Slot } from "./scheduling/runner.ts";
import { createStopFilter } from "./text/stop-filter.ts";
import { tokenize } from "./text/tokenizer.ts";
import type { Writer } from "./text/writer.ts";

export interface Pace {
  readonly clock: Clock;
  /** Tokens per second of each slot. */
  readonly decodeSpeed: number;
  readonly prefillSpeed: number;
  /** False: a cancelled prefill stops at once, as in Ollama 0.30 and newer. True is 0.24.0. */
  readonly doesPrefillOutliveCancel: boolean;
}

export interface CompletionTask {
  readonly runner: Runner;
  readonly prompt: string;
  readonly options: ModelOptions;
  readonly isTruncating: boolean;
  readonly isShifting: boolean;
  readonly openWriter: (prompt: string) => Writer;
  readonly signal: AbortSignal;
  readonly onPhase: (phase: CompletionPhase) => void;
  /** Scripted: added to the prefill. */
  readonly extraPrefillMs: number;
}

export type CompletionPhase = "queued" | "prefill" | "decode";

export type CompletionEvent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "done"; readonly reason: "stop" | "length"; readonly metrics: CompletionMetrics };

export interface CompletionMetrics {
  readonly promptTokens: number;
  readonly prefillMs: number;
  readonly tokens: number;
  readonly decodeMs: number;
}

export async function* runCompletion(task: CompletionTask, pace: Pace): AsyncGenerator<CompletionEvent> {
  const { prompt, tokens } = fitPrompt(task);
  task.onPhase("queued");
  const slot = await task.runner.acquireSlot(tokens, task.signal);
  if (slot === undefined) throw ended(task);
  const run = { task, pace, stop: AbortSignal.any([task.signal, task.runner.death]), promptTokens: tokens.length };
  const prefillMs = await prefill(run, slot);
  try {
    yield* decode(run, task.openWriter(prompt), prefillMs);
  } finally {
    slot.release();
  }
}

/** Keeps the first `num_keep` tokens and the end, as Ollama's runner does with a prompt that is too long. */
function fitPrompt(task: CompletionTask): { prompt: string; tokens: readonly string[] } {
  const tokens = tokenize(task.prompt);
  const limit = task.runner.contextLength;
  if (tokens.length <= limit) return { prompt: task.prompt, tokens };
  if (!task.isTruncating) throw new OllamaError(400, errorTexts.tooLong);
  const keep = Math.min(task.options.numKeep < 0 ? limit : task.options.numKeep, limit - 1);
  const kept = [...tokens.slice(0, keep), ...tokens.slice(tokens.length - (limit - keep))];
  return { prompt: kept.join(""), tokens: kept };
}

interface Run {
  readonly task: CompletionTask;
  readonly pace: Pace;
  /** The caller left or the runner died. */
  readonly stop: AbortSignal;
  readonly promptTokens: number;
}

/** After a cancel the slot stays taken until the prefill would have ended: 0.24.0 does not stop it. */
async function prefill({ task, pace, stop, promptTokens }: Run, slot: Slot): Promise<number> {
  task.onPhase("prefill");
  const startMs = pace.clock.nowMs();
  const fresh = Math.max(promptTokens - slot.cachedTokens, 1);
  const durationMs = (fresh / pace.prefillSpeed) * 1000 + task.extraPrefillMs;
  await sleep(pace.clock, durationMs, stop);
  if (!stop.aborted) return durationMs;
  const restMs = startMs + durationMs - pace.clock.nowMs();
  if (pace.doesPrefillOutliveCancel) void sleep(pace.clock, restMs, task.runner.death).then(() => slot.release());
  else slot.release();
  throw ended(task);
}

async function* decode(run: Run, writer: Writer, prefillMs: number): AsyncGenerator<CompletionEvent> {
  const { task, pace, stop, promptTokens } = run;
  task.onPhase("decode");
  const startMs = pace.clock.nowMs();
  const filter = createStopFilter(task.options.stop);
  const limit = tokenLimit(task, promptTokens);
  let tokens = 0;
  let reason: "stop" | "length" | undefined;
  while (reason === undefined) {
    // Paced by absolute times, so that late timers do not add up.
    const waitMs = startMs + (tokens / pace.decodeSpeed) * 1000 - pace.clock.nowMs();
    if (waitMs > 0) await sleep(pace.clock, waitMs, stop);
    if (stop.aborted) throw ended(task, true);
    const piece = writer.next();
    tokens += 1;
    const { text, isStopped } = piece === undefined ? { text: filter.flush(), isStopped: true } : filter.push(piece);
    if (isStopped) reason = "stop";
    else if (tokens >= limit) reason = "length";
    if (text !== "") yield { kind: "text", text };
  }
  const held = filter.flush();
  if (held !== "") yield { kind: "text", text: held };
  const metrics = { promptTokens, prefillMs, tokens, decodeMs: pace.clock.nowMs() - startMs };
  yield { kind: "done", reason, metrics };
}

/** `num_predict` 0 means no limit of its own in 0.24.0; ten contexts bound every answer. */
function tokenLimit(task: CompletionTask, promptTokens: number): number {
  const longest = 10 * task.runner.contextLength;
  const asked = task.options.numPredict <= 0 ? longest : Math.min(task.options.numPredict, longest);
  return task.isShifting ? asked : Math.min(asked, Math.max(task.runner.contextLength - promptTokens, 1));
}

function ended(task: CompletionTask, hasStarted = false): OllamaError {
  if (task.signal.aborted) return new OllamaError(499, errorTexts.canceled);
  return new OllamaError(500, hasStarted ? errorTexts.runnerDiedMidStream : errorTexts.runnerStopped);
}
