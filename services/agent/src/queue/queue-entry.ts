/** A place in the queue, as the call that holds it sees it. */
import type { Slot } from "./slots.ts";

/** What the queue may know of a call. */
export interface EntryFacts {
  /** The part of the body that tells how long the prompt is; absent when none does. */
  readonly promptBytes?: number | undefined;
  /** A call whose slot is expected later than this is refused. Default: it waits for as long as it takes. */
  readonly longestWaitMs?: number;
}

/** Where a waiting call stands. */
export type EntryStage =
  | { readonly kind: "queued"; readonly ahead: number; readonly expectedMs: number | undefined }
  | { readonly kind: "loading"; readonly elapsedMs: number; readonly expectedMs: number | undefined };

export interface QueueEntry {
  /** Resolves with the slot; rejects with the reason given to `leave`, or when the load failed. */
  readonly slot: Promise<Slot>;
  /** Nothing is ahead of a call that has its slot. */
  stage(): EntryStage;
  /** How long it waited while its runner was being loaded, in milliseconds. */
  loadMs(): number;
  /** Leaves the queue at once. Harmless after the slot was granted or refused. */
  leave(reason: Error): void;
}
