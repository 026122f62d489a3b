/**
 * Bounds the memory that request bodies hold in this process: a body is kept until its call commits or ends, because
 * another node may need it.
 */
import { DroverError } from "@drover/platform";

/** DESIGN 2. Eight of the largest bodies, or half a million ordinary prompts. */
export const BODY_BUDGET_BYTES = 512 * 1024 * 1024;

export class BodyBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes = BODY_BUDGET_BYTES) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Throws RESOURCE_EXHAUSTED, taking nothing, when the budget would be exceeded. */
  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#limitBytes) {
      throw new DroverError(
        "request_too_large",
        "This router holds too many request bodies at once: try again in a moment.",
        {
          retryAfterMs: 1_000,
        },
      );
    }
    this.#usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
