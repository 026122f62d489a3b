/**
 * Where a call stands between its arrival and its one end.
 */
import type { DroverError, Timer } from "@drover/platform";
import type { LiveAttempt } from "./live-attempt.ts";

export type CallState =
  /** At its start, and between a failed attempt and the next: nothing is open. */
  | { readonly kind: "placing" }
  /** No node can take it: looks again when the fleet changes, until `timer`. */
  | {
      readonly kind: "waiting";
      readonly isFleetKnown: boolean;
      readonly error: DroverError;
      readonly timer: Timer;
    }
  | { readonly kind: "backing-off"; readonly timer: Timer }
  /** Before the commit; the first attempt to commit cancels the others. */
  | { readonly kind: "attempting"; readonly attempts: readonly LiveAttempt[] }
  | { readonly kind: "committed"; readonly attempt: LiveAttempt }
  | { readonly kind: "ended" };
