/**
 * Calls that no node can take now, in the order in which they came. Whenever the fleet changes each of them looks again.
 */
import { type Clock, DroverError, type Timer } from "@drover/platform";
import type { Fleet } from "../fleet/fleet.ts";

/** Calls that wait at once; each holds a request body, so the budget of bodies usually ends first. */
export const WAITING_MAX = 10_000;

/**
 * A busy fleet changes hundreds of times a second, and a look of a thousand calls takes milliseconds: the first change of
 * a quiet fleet is looked at at once, the others together, and looking takes at most a tenth of the time.
 */
const LOOK_PAUSE_MS = 20;
const LOOK_PAUSE_FACTOR = 9;

export function roomFull(): DroverError {
  return new DroverError("queue_full", "Too many calls wait at this router: try again later.", { retryAfterMs: 1_000 });
}

export class WaitingRoom {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  readonly #stop: () => void;
  /** Runs after a look; changes in between are for the next one. */
  #pause: Timer | undefined;
  #isLookDue = false;

  constructor(fleet: Fleet, clock: Clock) {
    this.#clock = clock;
    this.#stop = fleet.onChange(() => {
      if (this.#pause === undefined) this.#look();
      else this.#isLookDue = true;
    });
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** False when the room is full. */
  enter(lookAgain: () => void): boolean {
    if (this.#waiting.size >= WAITING_MAX) return false;
    this.#waiting.add(lookAgain);
    return true;
  }

  leave(lookAgain: () => void): void {
    this.#waiting.delete(lookAgain);
    if (this.#waiting.size === 0) this.#endPause();
  }

  close(): void {
    this.#stop();
    this.#waiting.clear();
    this.#endPause();
  }

  #look(): void {
    const beganMs = this.#clock.nowMs();
    // A copy, because who finds a place leaves; and who left because of another one's end must not be asked any more.
    for (const lookAgain of [...this.#waiting]) if (this.#waiting.has(lookAgain)) lookAgain();
    if (this.#waiting.size === 0) return;
    const pauseMs = Math.max(LOOK_PAUSE_MS, (this.#clock.nowMs() - beganMs) * LOOK_PAUSE_FACTOR);
    this.#pause = this.#clock.after(pauseMs, () => {
      const isLookDue = this.#isLookDue;
      this.#endPause();
      if (isLookDue) this.#look();
    });
  }

  #endPause(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#isLookDue = false;
  }
}
