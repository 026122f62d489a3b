/** The timer of a call's deadline. What passing it means is decided elsewhere. */
import type { Clock, Timer } from "@drover/platform";

/**
 * The node's own answer, which knows more, is due before it. After a pause of this process it lies unread in the socket, because
 * Node runs timers before it reads sockets (nodejs.org, "The Node.js Event Loop"): so it gets one more turn. `leftMs` Infinity: none.
 */
export function deadlineTimer(clock: Clock, leftMs: number, onPassed: () => void): Timer | undefined {
  if (leftMs === Number.POSITIVE_INFINITY) return undefined;
  let timer = clock.after(leftMs, () => {
    timer = clock.after(0, onPassed);
  });
  return { cancel: () => timer.cancel() };
}
