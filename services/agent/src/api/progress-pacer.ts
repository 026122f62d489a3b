/**
 * When a silent call says that it is still there: after 2 s without a message, then every 10 s, and in between when what it
 * waits for has changed. It does not know what is said.
 */
import type { Clock, Timer } from "@drover/platform";

const FIRST_AFTER_MS = 2_000;
const THEN_EVERY_MS = 10_000;

export interface ProgressPacer {
  /** Waits for `work`, or for the moment at which a progress message is due, whichever comes first. */
  wait(work: Promise<unknown>): Promise<"settled" | "due">;
  /** What is said next differs from what was said before: it is due at once. */
  changed(): void;
}

/** `isWanted` false: it never becomes due. */
export function createProgressPacer(clock: Clock, isWanted: boolean): ProgressPacer {
  let dueAtMs = clock.nowMs() + FIRST_AFTER_MS;
  let hasSpoken = false;
  return {
    changed: () => {
      // Who was told nothing so far has nothing to correct.
      if (hasSpoken) dueAtMs = clock.nowMs();
    },
    wait: (work) =>
      new Promise((resolve) => {
        let timer: Timer | undefined;
        const settled = (): void => {
          timer?.cancel();
          resolve("settled");
        };
        if (isWanted) {
          timer = clock.after(dueAtMs - clock.nowMs(), () => {
            dueAtMs = clock.nowMs() + THEN_EVERY_MS;
            hasSpoken = true;
            resolve("due");
          });
        }
        work.then(settled, settled);
      }),
  };
}
