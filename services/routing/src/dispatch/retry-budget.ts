/**
 * Bounds retries to a share of the traffic, so that a fleet in trouble is not finished off by its router: a part of the calls
 * of the last 10 s, and some on top so that a quiet router can retry at all (Finagle's RetryBudget has the same shape).
 * Second attempts of calls that hang have a budget of their own with other numbers.
 */
import type { Clock } from "@drover/platform";

const BUCKETS = 10;

export interface RetryBudgetOptions {
  readonly clock: Clock;
  /** Retries for each call, 0..1, default 0.2. */
  readonly ratio?: number;
  /** Retries in each window whatever the traffic, default 3. */
  readonly reserve?: number;
  /** Length of the window, default 10 s. */
  readonly windowMs?: number;
}

interface Bucket {
  /** Number of the tenth of a window that it counts; another one's counts are void. */
  epoch: number;
  calls: number;
  retries: number;
}

export class RetryBudget {
  readonly #clock: Clock;
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #bucketMs: number;
  readonly #buckets: Bucket[] = Array.from({ length: BUCKETS }, () => ({ epoch: -1, calls: 0, retries: 0 }));

  constructor({ clock, ratio = 0.2, reserve = 3, windowMs = 10_000 }: RetryBudgetOptions) {
    this.#clock = clock;
    this.#ratio = ratio;
    this.#reserve = reserve;
    this.#bucketMs = windowMs / BUCKETS;
  }

  /** Counts a call, once, whatever becomes of it. */
  deposit(): void {
    const bucket = this.#current();
    if (bucket !== undefined) bucket.calls++;
  }

  /** Takes one retry; false when there is none left. */
  withdraw(): boolean {
    const bucket = this.#current();
    if (bucket === undefined || !this.#hasOneLeft(bucket.epoch)) return false;
    bucket.retries++;
    return true;
  }

  /** Whether `withdraw` would be refused. */
  get isEmpty(): boolean {
    const bucket = this.#current();
    return bucket === undefined || !this.#hasOneLeft(bucket.epoch);
  }

  #hasOneLeft(currentEpoch: number): boolean {
    let calls = 0;
    let retries = 0;
    for (const { epoch, ...counts } of this.#buckets) {
      if (epoch <= currentEpoch - BUCKETS) continue;
      calls += counts.calls;
      retries += counts.retries;
    }
    return retries + 1 <= this.#reserve + calls * this.#ratio;
  }

  #current(): Bucket | undefined {
    const epoch = Math.floor(this.#clock.nowMs() / this.#bucketMs);
    const bucket = this.#buckets[epoch % BUCKETS];
    if (bucket !== undefined && bucket.epoch !== epoch) {
      bucket.epoch = epoch;
      bucket.calls = 0;
      bucket.retries = 0;
    }
    return bucket;
  }
}
