/**
 * The times of one call: when it must end, how long it may still wait, and where its time went. It sets no timer.
 */
import { type Clock, hopDeadlineMs } from "@drover/platform";
import type { TimeLeft } from "./attempt-headers.ts";
import type { CallRequest } from "./call-request.ts";
import type { CallTimes } from "./call-times.ts";

export class CallClock {
  readonly #clock: Clock;
  readonly #maxWaitMs: number;
  readonly #startedMs: number;
  readonly #endsAtMs: number;
  #waitedMs = 0;
  /** Undefined while it does not wait for a node. */
  #waitsSinceMs: number | undefined;
  #firstTokenMs: number | undefined;

  /** The call begins now. */
  constructor(clock: Clock, { timeoutMs, maxWaitMs }: CallRequest) {
    this.#clock = clock;
    this.#maxWaitMs = maxWaitMs;
    this.#startedMs = clock.nowMs();
    this.#endsAtMs = this.#startedMs + (timeoutMs === undefined ? Number.POSITIVE_INFINITY : hopDeadlineMs(timeoutMs));
  }

  left(): TimeLeft {
    const nowMs = this.#clock.nowMs();
    return { callMs: this.#endsAtMs - nowMs, waitMs: Math.max(this.#maxWaitMs - (nowMs - this.#startedMs), 0) };
  }

  times(): CallTimes {
    const totalMs = this.#clock.nowMs() - this.#startedMs;
    return { waitedMs: this.#waitedMs + this.#currentWaitMs(), firstTokenMs: this.#firstTokenMs, totalMs };
  }

  beginWait(): void {
    this.#waitsSinceMs ??= this.#clock.nowMs();
  }

  endWait(): void {
    this.#waitedMs += this.#currentWaitMs();
    this.#waitsSinceMs = undefined;
  }

  markFirstToken(): void {
    this.#firstTokenMs = this.#clock.nowMs() - this.#startedMs;
  }

  #currentWaitMs(): number {
    return this.#waitsSinceMs === undefined ? 0 : this.#clock.nowMs() - this.#waitsSinceMs;
  }
}
