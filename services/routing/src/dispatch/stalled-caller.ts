/**
 * Ends the call of a caller that has stopped reading: its buffer would be held, and a slot of the node with it. A timer
 * runs only while the caller is blocked, so that messages that flow cost nothing.
 */
import { type Clock, DroverError, type Timer } from "@drover/platform";

/** How long a caller may leave its full buffer untouched. */
const STALL_LIMIT_MS = 30_000;

export class StalledCaller {
  readonly #clock: Clock;
  readonly #onStall: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, onStall: () => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** The buffer is full. Harmless when it was full before. */
  blocked(): void {
    this.#timer ??= this.#clock.after(STALL_LIMIT_MS, this.#onStall);
  }

  /** There is room again, or the call is over. */
  moved(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

export function stalledError(model: string): DroverError {
  const message =
    `The caller stopped reading the answer of model "${model}" for ${STALL_LIMIT_MS / 1_000} s with its buffer full: ` +
    "read messages as they come, or cancel the call.";
  return new DroverError("caller_stalled", message, { facts: { model } });
}
