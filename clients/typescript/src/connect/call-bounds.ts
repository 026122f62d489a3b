/**
 * The bounds that a caller set for one call, however many routers it tries: its signal and its deadline. What is sent of the deadline
 * is what gRPC can carry.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "./clock.ts";

/** grpc-timeout carries eight digits. */
const LONGEST_TIMEOUT_MS = 99_999_999;

export class CallBounds {
  readonly signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #beganMs: number;
  readonly #timeoutMs: number | undefined;

  /** Without `timeoutMs`, or with 0 and less as connect's transports have it, there is no deadline. */
  constructor(clock: Clock, signal: AbortSignal | undefined, timeoutMs: number | undefined) {
    this.#clock = clock;
    this.#beganMs = clock.nowMs();
    this.#timeoutMs = timeoutMs === undefined || timeoutMs <= 0 ? undefined : timeoutMs;
    this.signal = signal;
  }

  get elapsedMs(): number {
    return this.#clock.nowMs() - this.#beganMs;
  }

  /** Whole milliseconds for the next try, at least 1: connect takes 0 for none, and a fraction is refused by routers. */
  get timeoutMs(): number | undefined {
    if (this.#timeoutMs === undefined) return undefined;
    return Math.min(Math.max(Math.floor(this.#timeoutMs - this.elapsedMs), 1), LONGEST_TIMEOUT_MS);
  }

  /** Throws when the caller has left or its deadline has passed. */
  check(): void {
    if (this.signal?.aborted === true) throw new ConnectError("The caller cancelled the call.", Code.Canceled);
    if (this.#timeoutMs !== undefined && this.elapsedMs >= this.#timeoutMs) throw deadlineExceeded();
  }

  /** What `promise` gives, or sooner the end of the call. */
  async wait<Value>(promise: Promise<Value>): Promise<Value> {
    // It may fail after this call has ended: a rejection that nobody hears ends the process.
    promise.catch(ignore);
    this.check();
    const { signal, timeoutMs } = this;
    const ended = Promise.withResolvers<never>();
    const cancelled = (): void => ended.reject(new ConnectError("The caller cancelled the call.", Code.Canceled));
    signal?.addEventListener("abort", cancelled, { once: true });
    const timer =
      timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, () => ended.reject(deadlineExceeded()));
    try {
      return await Promise.race([promise, ended.promise]);
    } finally {
      timer?.cancel();
      signal?.removeEventListener("abort", cancelled);
    }
  }
}

function deadlineExceeded(): ConnectError {
  return new ConnectError("The deadline passed before a router took the call.", Code.DeadlineExceeded);
}

function ignore(): void {
  // Whoever waits is told.
}
