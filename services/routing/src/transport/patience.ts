/**
 * A limit on how long another program may be silent, in time during which this process itself ran. A plain timer would fire right
 * after a pause of our own (a stopped process, a sleeping laptop), before what came meanwhile is read.
 */
import type { Clock, Timer } from "@drover/platform";

/** A timer that fires this late was held up by a pause of this process. */
const PAUSED_MS = 1_000;

export function patience(clock: Clock, limitMs: number, onEnd: () => void): Timer {
  let timer: Timer;
  const arm = (): void => {
    const dueMs = clock.nowMs() + limitMs;
    timer = clock.after(limitMs, () => {
      if (clock.nowMs() - dueMs > PAUSED_MS) arm();
      else onEnd();
    });
  };
  arm();
  return { cancel: () => timer.cancel() };
}
