/**
 * A bound that many share: bytes that a process may hold for one purpose, such as the bodies of all running requests. It counts;
 * who holds them gives them back.
 */
import { invariant } from "./drover-error.ts";

/** Request bodies of one process, over all listeners and protocols. */
export const REQUEST_BODIES_BYTES = 512 * 1024 * 1024;

export class ByteBudget {
  readonly limit: number;
  #held = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get held(): number {
    return this.#held;
  }

  /** Takes `bytes`, or nothing and answers false where they do not fit. */
  tryTake(bytes: number): boolean {
    if (this.#held + bytes > this.limit) return false;
    this.#held += bytes;
    return true;
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#held -= bytes;
    invariant(this.#held >= 0, "more bytes were given back than were taken");
  }
}
