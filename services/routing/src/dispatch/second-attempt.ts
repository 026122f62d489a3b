/**
 * Where a call whose attempt hangs is tried a second time: on another node that can begin at once, or nowhere. Bounded by a
 * budget of its own, so that a fleet that is slow everywhere does not get its work twice.
 */
import type { Picked } from "../balancing/picker.ts";
import type { ChoiceRequest } from "./choose-node.ts";
import type { LiveAttempts } from "./live-attempts.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { RetryOptions } from "./retry-options.ts";

/** What a router gives to all its calls. */
export interface SecondMeans {
  readonly retry: RetryOptions;
  readonly secondBudget: RetryBudget;
}

/** Undefined: none now; worth asking again while the attempt hangs. */
export function pickSecond(request: ChoiceRequest, attempts: LiveAttempts, means: SecondMeans): Picked | undefined {
  const { picker, snapshot, failed, nowMs } = request;
  const { profile } = failed;
  if (profile.node !== undefined || attempts.count > 1 || attempts.made >= means.retry.attemptsMax) return undefined;
  // Before the pick, which rotates and takes a lease.
  if (means.secondBudget.isEmpty) return undefined;
  const picked = picker.pickFree({ profile, excluded: new Set([...failed.ids, ...attempts.nodeIds]), nowMs }, snapshot);
  if (picked !== undefined) means.secondBudget.withdraw();
  return picked;
}
