/**
 * The pace of progress in one call before its first token: the router speaks while no attempt runs, else the attempt's agent
 * does, and never two agents at once. It does not know what is said.
 */
import type { Clock, Timer } from "@drover/platform";
import type { LiveAttempt } from "./live-attempt.ts";

/** The agents' own pace (proto: Progress). */
const FIRST_AFTER_MS = 2_000;
const THEN_EVERY_MS = 10_000;

export interface CallProgressOptions {
  readonly clock: Clock;
  /** False: nobody speaks. */
  readonly isWanted: boolean;
  /** The router's word is due. */
  readonly onDue: () => void;
}

export class CallProgress {
  readonly #options: CallProgressOptions;
  /** When the caller was told something last; at first, when its call began. */
  #toldMs: number;
  /** The attempt whose agent was heard last. */
  #speaker: LiveAttempt | undefined;
  #timer: Timer | undefined;

  /** The call begins now. */
  constructor(options: CallProgressOptions) {
    this.#options = options;
    this.#toldMs = options.clock.nowMs();
  }

  /** No attempt runs from now on: the router speaks. Harmless when it does already. */
  begin(): void {
    this.#speaker = undefined;
    if (this.#options.isWanted && this.#timer === undefined) this.#speakAt(this.#toldMs + FIRST_AFTER_MS);
  }

  /** An attempt runs, or the call is over: the router says nothing more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Whether what this attempt's agent says goes to the caller. Agents keep the pace, each for itself; of two attempts the
   * second is heard only when the first has missed its time.
   */
  admits(attempt: LiveAttempt): boolean {
    const { clock, isWanted } = this.#options;
    const nowMs = clock.nowMs();
    const isOtherSpeaking = this.#speaker !== undefined && this.#speaker !== attempt;
    if (!isWanted || (isOtherSpeaking && nowMs < this.#toldMs + THEN_EVERY_MS)) return false;
    this.#speaker = attempt;
    this.#toldMs = nowMs;
    return true;
  }

  #speakAt(dueMs: number): void {
    const { clock, onDue } = this.#options;
    this.#timer = clock.after(Math.max(dueMs - clock.nowMs(), 0), () => {
      this.#toldMs = clock.nowMs();
      this.#speakAt(this.#toldMs + THEN_EVERY_MS);
      onDue();
    });
  }
}
