/**
 * Whether a failed attempt is tried again on another node. Decides from the kind of failure, the number of attempts, the
 * budget and the time left; it knows nothing of nodes.
 */
import { type DroverError, ENDINGS, type Rng } from "@drover/platform";
import type { RetryBudget } from "./retry-budget.ts";
import type { RetryOptions } from "./retry-options.ts";

export type RetryDecision =
  | { readonly kind: "at-once" }
  /** It cost budget. */
  | { readonly kind: "after-backoff"; readonly afterMs: number }
  | { readonly kind: "give-up" };

export interface FailedAttempt {
  readonly error: DroverError;
  /** Attempts made so far, this one included. */
  readonly attempts: number;
  /** How many of them a live node answered with a failure, this one not included. */
  readonly chargedRetries: number;
  /** Time until the call ends, in ms; Infinity without a deadline. */
  readonly timeLeftMs: number;
  /** The caller asked for this one node. */
  readonly isPinned: boolean;
}

/** What a router gives to all its calls. */
export interface RetryMeans {
  readonly retry: RetryOptions;
  readonly budget: RetryBudget;
  readonly rng: Rng;
}

const GIVE_UP: RetryDecision = { kind: "give-up" };

export function decideRetry(failed: FailedAttempt, means: RetryMeans): RetryDecision {
  if (failed.isPinned || failed.attempts >= means.retry.attemptsMax) return GIVE_UP;
  switch (ENDINGS[failed.error.kind].elsewhere) {
    case "free":
    // Charged, a fleet of small and large contexts would refuse for good what its large nodes can do, whenever long prompts
    // are over a fifth of the calls. It is bounded all the same: nothing ran, and every next node must have more than the last.
    case "suited":
      return { kind: "at-once" };
    case "charged":
      return charged(failed, means);
    case "once":
      return failed.chargedRetries === 0 ? charged(failed, means) : GIVE_UP;
    case "never":
      return GIVE_UP;
  }
}

/** Full jitter (0..limit): equal backoffs would send the retries of one moment to the next node together. */
function charged(failed: FailedAttempt, { retry, budget, rng }: RetryMeans): RetryDecision {
  const limitMs = Math.min(retry.backoffFirstMs * 2 ** failed.chargedRetries, retry.backoffLastMs);
  const afterMs = rng.next() * limitMs;
  if (afterMs >= failed.timeLeftMs || !budget.withdraw()) return GIVE_UP;
  return { kind: "after-backoff", afterMs };
}
