/**
 * One watcher of the fleet: what it has not been told yet, as one entry for each node that changed. It is pulled, so what it
 * holds is bounded whether or not anybody reads.
 */
import { mergeChanges, type NodeChange } from "./node-change.ts";

/** More changes than this are told as a new snapshot, which is shorter than they are. */
export const PENDING_MAX = 4_096;

/** What is told next: everything, or what changed by endpoint. */
export type Untold = "everything" | ReadonlyMap<string, NodeChange>;

export class FleetWatcher {
  #pending = new Map<string, NodeChange>();
  #hasFallenBehind = true;
  #wake: () => void = () => undefined;

  /** Changes since it was told last are too many: it needs a snapshot. True for a new one. */
  get hasFallenBehind(): boolean {
    return this.#hasFallenBehind;
  }

  /** Entries that are held. */
  get size(): number {
    return this.#pending.size;
  }

  note(changes: ReadonlyMap<string, NodeChange>): void {
    if (!this.#hasFallenBehind) {
      for (const [endpoint, change] of changes) {
        this.#pending.set(endpoint, mergeChanges(this.#pending.get(endpoint), change));
      }
      if (this.#pending.size > PENDING_MAX) {
        this.#hasFallenBehind = true;
        this.#pending.clear();
      }
    }
    this.#wake();
  }

  /** Looks whether it must end, or has something to tell. */
  wake(): void {
    this.#wake();
  }

  /** What it was not told so far; undefined: nothing. */
  take(): Untold | undefined {
    if (this.#hasFallenBehind) {
      this.#hasFallenBehind = false;
      return "everything";
    }
    if (this.#pending.size === 0) return undefined;
    const pending = this.#pending;
    this.#pending = new Map();
    return pending;
  }

  /** Resolves with the next `note` or `wake`. One waits at a time. */
  woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
