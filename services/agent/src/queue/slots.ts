/**
 * The slots that calls hold, what Ollama's counts teach when they give them back, and how long a slot cools after a call that
 * was cut off. Which call gets a slot is decided elsewhere.
 */
import { type Clock, invariant, type Timer } from "@drover/platform";
import type { OllamaCounts } from "../ollama/ollama-counts.ts";
import { PromptSizes } from "./prompt-sizes.ts";
import type { RunnerRecord } from "./runner-table.ts";

/** What the holder of a slot says when it gives it back. */
export interface SlotRelease {
  /** The runner crashed or was unloaded by this call: the next one needs a load. */
  readonly isRunnerGone?: boolean;
  /** Of a complete answer; undefined when the call ended in another way. */
  readonly counts?: OllamaCounts | undefined;
  /** Ollama's socket was closed before the end of the answer. Before the first token Ollama reads the prompt to its end. */
  readonly isCut?: boolean;
}

/** Room for one running call. */
export interface Slot {
  /** The context of the runner in tokens, 0 when not known. */
  contextLength(): number;
  /** Whether others run on this runner or wait for it. */
  isShared(): boolean;
  /** How long Ollama is expected to read the prompt, in milliseconds; a cautious guess while nothing is learned. */
  expectedPrefillMs(): number;
  /** Tells that the prompt was read. Only the first time counts. */
  firstToken(): void;
  /** Gives the slot back, exactly once. */
  release(release?: SlotRelease): void;
}

export interface SlotsDeps {
  readonly clock: Clock;
  /** Whether Ollama reads the prompt of a call that is gone to its end. */
  readonly doesPrefillOutliveCancel: () => boolean;
  /** The runner of a call is no longer in Ollama's memory. */
  readonly onRunnerGone: (record: RunnerRecord) => void;
  /** A slot is free. */
  readonly onFree: () => void;
}

/** A call that holds a slot. */
interface Running {
  readonly record: RunnerRecord;
  /** Undefined when it is no measure of the prompt: there are images. */
  readonly promptBytes: number | undefined;
  readonly startedAtMs: number;
  /** How many others ran when its first token came; undefined before. */
  othersAtFirstToken: number | undefined;
  isReleased: boolean;
}

/** A slot in which Ollama still reads the prompt of a call that is gone: llm/server.go stops only at the first token. */
interface Cooling {
  readonly record: RunnerRecord;
  readonly running: Running;
  readonly promptTokens: number;
  readonly sinceMs: number;
  readonly endsAtMs: number;
  readonly timer: Timer;
}

/** While nothing is learned: a small model on a few cores. */
const PRIOR_PREFILL_TOKENS_PER_SECOND = 100;

/** The longest that a slot cools on a guess, and on a speed that was learned. */
const LONGEST_GUESSED_COOLING_MS = 90_000;
const LONGEST_COOLING_MS = 300_000;

/** A prompt with images; Ollama itself takes 768 tokens for each. */
const PRIOR_PROMPT_TOKENS = 2_048;

export class Slots {
  readonly #deps: SlotsDeps;
  readonly #sizes = new PromptSizes();
  /** These two together: at most as many as there are slots. */
  readonly #running = new Set<Running>();
  readonly #cooling = new Set<Cooling>();
  #active = 0;
  #isClosed = false;

  constructor(deps: SlotsDeps) {
    this.#deps = deps;
  }

  /** Slots that are not free, over all runners. */
  get active(): number {
    return this.#active;
  }

  /** Those of them in which Ollama still reads the prompt of a call that is gone. */
  get cooling(): number {
    return this.#cooling.size;
  }

  /** Bytes of a request for each token of its prompt; undefined before it is learned of these weights. */
  bytesPerToken(weightsKey: string): number | undefined {
    return this.#sizes.learned(weightsKey);
  }

  /** Takes a slot of `record`, which has a free one. `promptBytes` undefined: the request's length does not tell its tokens. */
  take(record: RunnerRecord, promptBytes: number | undefined): Slot {
    const startedAtMs = this.#deps.clock.nowMs();
    const running: Running = { record, promptBytes, startedAtMs, othersAtFirstToken: undefined, isReleased: false };
    this.#running.add(running);
    record.active++;
    this.#active++;
    return {
      contextLength: () => record.seen?.contextLength ?? 0,
      isShared: () => record.active - record.cooling > 1 || record.waiting > 0,
      expectedPrefillMs: () => this.#expectedPrefillMs(running),
      firstToken: () => this.#firstToken(running),
      release: (release = {}) => this.#release(running, release),
    };
  }

  /** For each slot of `record` that is not free: in how many milliseconds it will be. Undefined while that is not learned. */
  freeInMs(record: RunnerRecord): number[] | undefined {
    const { holdMs } = record.rates;
    const nowMs = this.#deps.clock.nowMs();
    const running = [...this.#running].filter((each) => each.record === record);
    if (holdMs === undefined && running.length > 0) return undefined;
    const cooling = [...this.#cooling].filter((each) => each.record === record);
    return [
      ...running.map(({ startedAtMs }) => Math.max(0, startedAtMs + (holdMs ?? 0) - nowMs)),
      ...cooling.map(({ endsAtMs }) => Math.max(0, endsAtMs - nowMs)),
    ];
  }

  /** Frees the cooling slots of runners that are no longer in memory. Tells nobody: who calls it looks for free slots next. */
  sweep(): void {
    for (const cooling of this.#cooling) {
      const { kind } = cooling.record.state;
      if (kind !== "loaded" && kind !== "closing") this.#cooled(cooling);
    }
  }

  /** Leaves no timer behind: from now on no slot cools. */
  close(): void {
    this.#isClosed = true;
    for (const cooling of this.#cooling) this.#cooled(cooling);
  }

  #firstToken(running: Running): void {
    if (running.othersAtFirstToken !== undefined) return;
    running.othersAtFirstToken = running.record.active - 1;
    const freed = [...this.#cooling].filter((cooling) => this.#isProvedBy(running, cooling));
    for (const cooling of freed) this.#cooled(cooling);
    if (freed.length > 0) this.#deps.onFree();
  }

  /**
   * A prompt that began later and is no shorter was read, so the other one was too: Ollama gives each an equal part of its
   * batches. A shorter one proves nothing.
   */
  #isProvedBy(running: Running, cooling: Cooling): boolean {
    const isLater = running.record === cooling.record && running.startedAtMs >= cooling.sinceMs;
    return isLater && this.#promptTokens(running) >= cooling.promptTokens;
  }

  #release(running: Running, { isRunnerGone = false, counts, isCut = false }: SlotRelease): void {
    invariant(!running.isReleased, "a slot was released twice");
    running.isReleased = true;
    this.#running.delete(running);
    const { record } = running;
    if (counts !== undefined) this.#learn(running, counts);
    if (isRunnerGone) this.#deps.onRunnerGone(record);
    const isReading = isCut && running.othersAtFirstToken === undefined && this.#deps.doesPrefillOutliveCancel();
    const restMs = isReading && !this.#isClosed ? this.#prefillLeftMs(running) : 0;
    if (restMs > 0) this.#cool(running, restMs);
    else this.#free(running);
    this.#deps.onFree();
  }

  #cool(running: Running, restMs: number): void {
    const { clock, onFree } = this.#deps;
    const { record } = running;
    record.cooling++;
    const sinceMs = clock.nowMs();
    const cooling: Cooling = {
      record,
      running,
      promptTokens: this.#promptTokens(running),
      sinceMs,
      endsAtMs: sinceMs + restMs,
      timer: clock.after(restMs, () => {
        this.#cooled(cooling);
        onFree();
      }),
    };
    this.#cooling.add(cooling);
  }

  #cooled(cooling: Cooling): void {
    cooling.timer.cancel();
    this.#cooling.delete(cooling);
    cooling.record.cooling--;
    this.#free(cooling.running);
  }

  #free({ record, startedAtMs }: Running): void {
    record.rates.learnHold(this.#deps.clock.nowMs() - startedAtMs);
    record.active--;
    this.#active--;
  }

  /** How long Ollama goes on reading the prompt. */
  #prefillLeftMs(running: Running): number {
    const { promptMsPerToken } = running.record.rates;
    const longestMs = promptMsPerToken === undefined ? LONGEST_GUESSED_COOLING_MS : LONGEST_COOLING_MS;
    const readMs = this.#deps.clock.nowMs() - running.startedAtMs;
    return Math.min(this.#expectedPrefillMs(running) - readMs, longestMs);
  }

  #expectedPrefillMs(running: Running): number {
    const usualMs = running.record.rates.promptMsPerToken ?? 1_000 / PRIOR_PREFILL_TOKENS_PER_SECOND;
    return this.#promptTokens(running) * usualMs;
  }

  /** What does not fit into the context is never read. */
  #promptTokens({ record, promptBytes }: Running): number {
    const { spec, seen } = record;
    const tokens =
      promptBytes === undefined ? PRIOR_PROMPT_TOKENS : this.#sizes.estimateTokens(spec.weightsKey, promptBytes);
    return Math.min(tokens, seen?.contextLength || tokens);
  }

  #learn({ record, promptBytes, othersAtFirstToken }: Running, counts: OllamaCounts): void {
    const others = record.active - 1;
    record.rates.learnAnswer(counts, others === othersAtFirstToken ? others : undefined);
    if (promptBytes === undefined) return;
    const { spec, seen } = record;
    this.#sizes.learn(spec.weightsKey, promptBytes, counts.promptTokens, seen?.contextLength ?? 0);
  }
}
