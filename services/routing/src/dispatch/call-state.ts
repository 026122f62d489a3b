/**
 * Where a call stands between its arrival and its one end.
 */
export type CallState =
  /** At its start, and between a failed attempt and the next: nothing is open. */
  | { readonly kind: "placing" }
  /** No attempt runs: looks again when the fleet changes or a backoff is over, for as long as its caller is ready to wait. */
  | { readonly kind: "waiting" }
  /** Before the commit, with one attempt or two; the first to commit stops the other. */
  | { readonly kind: "attempting" }
  /** The caller holds a part of the answer of the one attempt that is left. */
  | { readonly kind: "committed" }
  | { readonly kind: "ended" };
