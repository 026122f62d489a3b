/**
 * Calls that no node can take now, in the order in which they came. Whenever the fleet changes each of them looks again.
 */
import { DroverError } from "@drover/platform";
import type { Fleet } from "../fleet/fleet.ts";

/** Calls that wait at once; each holds a request body, so the budget of bodies usually ends first. */
export const WAITING_MAX = 10_000;

export function roomFull(): DroverError {
  return new DroverError("queue_full", "Too many calls wait at this router: try again later.", { retryAfterMs: 1_000 });
}

export class WaitingRoom {
  readonly #waiting = new Set<() => void>();
  readonly #stop: () => void;

  constructor(fleet: Fleet) {
    this.#stop = fleet.onChange(() => {
      // A copy, because who finds a place leaves; and who left because of another one's end must not be asked any more.
      for (const lookAgain of [...this.#waiting]) if (this.#waiting.has(lookAgain)) lookAgain();
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
  }

  close(): void {
    this.#stop();
    this.#waiting.clear();
  }
}
