/**
 * Lets whoever chooses an agent go one after the other: calls that choose at the same moment would all choose the same one, since none
 * of them sees the others yet.
 */
import type { Clock } from "../connect/clock.ts";

/** Order is worth no more than this: an answer that hangs must not hang the calls behind it. */
const LONGEST_WAIT_MS = 1_000;
/** The first moment after everything that the choice leads to at once: its call is on its way then. */
const SENT_AFTER_MS = 0;

export class Turns {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async take<Value>(action: () => Promise<Value>): Promise<Value> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await this.#atMost(before);
    try {
      return await action();
    } finally {
      this.#clock.after(SENT_AFTER_MS, resolve);
    }
  }

  #atMost(before: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(LONGEST_WAIT_MS, resolve);
      void before.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}
