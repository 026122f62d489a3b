/**
 * Notices agents that stopped talking. Silence counts only while this process itself ran: after a pause of our own
 * (a stopped process, a sleeping laptop) every agent would look silent at once, and none of them is to blame.
 */
import type { Clock, Timer } from "@drover/platform";

/** An agent sends at least one status a second; three missed ones are silence. */
export const SILENCE_MS = 3_000;
const TICK_MS = 250;

export interface SilenceWatchOptions {
  readonly clock: Clock;
  /** Called each tick with the time before which a message heard is silence. */
  readonly onTick: (silentBeforeMs: number) => void;
}

export class SilenceWatch {
  readonly #clock: Clock;
  readonly #onTick: (silentBeforeMs: number) => void;
  #timer: Timer | undefined;
  #tickedMs: number;
  /** The end of the latest pause of our own; nothing before it is held against anyone. */
  #resumedMs: number;

  constructor(options: SilenceWatchOptions) {
    this.#clock = options.clock;
    this.#onTick = options.onTick;
    this.#tickedMs = options.clock.nowMs();
    this.#resumedMs = this.#tickedMs;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.after(TICK_MS, () => {
      const nowMs = this.#clock.nowMs();
      if (nowMs - this.#tickedMs > 4 * TICK_MS) this.#resumedMs = nowMs;
      this.#tickedMs = nowMs;
      if (nowMs - this.#resumedMs >= SILENCE_MS) this.#onTick(nowMs - SILENCE_MS);
      this.#arm();
    });
  }
}
