/**
 * Opens links a few at a time: to open one takes a fraction of a millisecond, and a list of thousands comes in one piece. It keeps
 * the order and forgets what is taken back before its turn.
 */
import type { Clock, Timer } from "@drover/platform";

/** What fits into a few milliseconds. */
export const LINKS_AT_ONCE = 32;

export class LinkOpener {
  readonly #clock: Clock;
  /** In order of asking. */
  readonly #waiting = new Set<() => void>();
  #left = LINKS_AT_ONCE;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `open` now, or when others have had their turn. */
  add(open: () => void): void {
    this.#arm();
    if (this.#left === 0) {
      this.#waiting.add(open);
      return;
    }
    this.#left--;
    open();
  }

  cancel(open: () => void): void {
    this.#waiting.delete(open);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#waiting.clear();
  }

  #arm(): void {
    this.#timer ??= this.#clock.after(0, () => {
      this.#timer = undefined;
      this.#left = LINKS_AT_ONCE;
      for (const open of this.#waiting) {
        if (this.#left === 0) break;
        this.#waiting.delete(open);
        this.add(open);
      }
      if (this.#waiting.size > 0) this.#arm();
    });
  }
}
