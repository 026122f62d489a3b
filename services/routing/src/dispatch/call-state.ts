/**
 * Where a call stands between its arrival and its one end.
 */
import type { Timer } from "@drover/platform";

export type CallState =
  /** At its start, and between a failed attempt and the next: nothing is open. */
  | { readonly kind: "placing" }
  /** No node can take it: looks again when the fleet changes, for as long as its caller is ready to wait. */
  | { readonly kind: "waiting" }
  | { readonly kind: "backing-off"; readonly timer: Timer }
  /** Before the commit, with one attempt or two; the first to commit stops the other. */
  | { readonly kind: "attempting" }
  /** The caller holds a part of the answer of the one attempt that is left. */
  | { readonly kind: "committed" }
  | { readonly kind: "ended" };
