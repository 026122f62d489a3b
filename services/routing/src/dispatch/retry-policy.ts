/**
 * Whether a failed attempt is tried again on another node. Decides from the kind of failure, the number of attempts, the
 * budget and the time left; it knows nothing of nodes.
 */
import { type DroverError, ENDINGS, type Rng } from "@drover/platform";
import type { RetryBudget } from "./retry-budget.ts";

/** The first attempt included: a call that failed on four nodes would most likely fail on a fifth (gRFC A6 caps at five). */
export const ATTEMPTS_MAX = 4;
const BACKOFF_FIRST_MS = 25;
const BACKOFF_LAST_MS = 1_000;

export type RetryDecision = { readonly kind: "again"; readonly afterMs: number } | { readonly kind: "give-up" };

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

const GIVE_UP: RetryDecision = { kind: "give-up" };

export function decideRetry(failed: FailedAttempt, budget: RetryBudget, rng: Rng): RetryDecision {
  if (failed.isPinned || failed.attempts >= ATTEMPTS_MAX) return GIVE_UP;
  switch (ENDINGS[failed.error.kind].elsewhere) {
    case "free":
      return { kind: "again", afterMs: 0 };
    case "charged":
      return charged(failed, budget, rng);
    case "once":
      return failed.chargedRetries === 0 ? charged(failed, budget, rng) : GIVE_UP;
    // The filter has no node that differs in what was missing until part of a node's status says so.
    case "suited":
    case "never":
      return GIVE_UP;
  }
}

/** Full jitter (0..limit): equal backoffs would send the retries of one moment to the next node together. */
function charged(failed: FailedAttempt, budget: RetryBudget, rng: Rng): RetryDecision {
  const limitMs = Math.min(BACKOFF_FIRST_MS * 2 ** failed.chargedRetries, BACKOFF_LAST_MS);
  const afterMs = rng.next() * limitMs;
  if (afterMs >= failed.timeLeftMs || !budget.withdraw()) return GIVE_UP;
  return { kind: "again", afterMs };
}
