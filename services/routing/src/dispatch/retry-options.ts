/**
 * The numbers of retries before the first token: their meaning, defaults and sources. What is tried again at all is decided by
 * the table of endings.
 */

export interface RetryOptions {
  /** Attempts of one call, the first included. 1 and up. (gRFC A6 caps at five.) */
  readonly attemptsMax: number;
  /** Retries for each call of the last 10 s, 0..1, that failures which a live node answered may cost. (Finagle's RetryBudget: 0.2.) */
  readonly budgetRatio: number;
  /** Retries on top of that in every 10 s, so that a quiet router can retry at all. */
  readonly budgetReserve: number;
  /** Upper bound of the first backoff, in ms; it doubles with every retry that costs budget. */
  readonly backoffFirstMs: number;
  readonly backoffLastMs: number;
  /**
   * How long a node that failed is left alone in that call, in ms; it doubles with each of its failures. Tried again at once
   * it would mostly fail again, before its agent's stream could say that it is away.
   */
  readonly pauseFirstMs: number;
  readonly pauseLastMs: number;
}

export const RETRY_DEFAULTS: RetryOptions = {
  // A call that failed on four nodes would most likely fail on a fifth.
  attemptsMax: 4,
  budgetRatio: 0.2,
  budgetReserve: 3,
  backoffFirstMs: 25,
  backoffLastMs: 1_000,
  pauseFirstMs: 100,
  pauseLastMs: 1_000,
};
