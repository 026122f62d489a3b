/**
 * Simulated time with pauses of the process: time goes on, but no timer runs until it is over, as after SIGSTOP or the
 * sleep of a laptop.
 */
import { SimClock } from "@drover/platform";

export class PausableClock extends SimClock {
  #pausedMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.#pausedMs;
  }

  pause(ms: number): void {
    this.#pausedMs += ms;
  }
}
