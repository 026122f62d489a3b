/**
 * Lets whoever chooses an agent go one after the other: calls that choose at the same moment would all choose the same one, since none
 * of them sees the others yet.
 */
import type { Clock } from "../connect/clock.ts";

/** Order is worth no more than this: an answer that hangs must not hang the calls behind it. */
const LONGEST_WAIT_MS = 1_000;
/** The first moment after everything that the choice leads to at once: its call is on its way then. */
const SENT_AFTER_MS = 0;

/** The call that waits for its turn: it may end before. */
export interface WaitingCall {
  readonly signal?: AbortSignal | undefined;
  /** What is left of its deadline. */
  readonly timeoutMs?: number | undefined;
}

export class Turns {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A call that ends while it waits has its turn at once: `action` finds the end by itself. */
  async take<Value>(action: () => Promise<Value>, call: WaitingCall = {}): Promise<Value> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await this.#until(before, call);
    try {
      return await action();
    } finally {
      this.#clock.after(SENT_AFTER_MS, resolve);
    }
  }

  #until(before: Promise<void>, { signal, timeoutMs = LONGEST_WAIT_MS }: WaitingCall): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = this.#clock.after(Math.min(timeoutMs, LONGEST_WAIT_MS), finish);
      signal?.addEventListener("abort", finish, { once: true });
      if (signal?.aborted === true) finish();
      void before.then(finish);
    });
  }
}
