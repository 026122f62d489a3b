/**
 * Simulated time for tests and the simulator: it moves only when told, and runs due actions in order of their time.
 */
import type { Clock, Timer } from "./clock.ts";

interface Pending {
  readonly dueMs: number;
  /** Breaks ties, so that equal times run in the order in which they were set. */
  readonly order: number;
  readonly action: () => void;
}

export class SimClock implements Clock {
  #nowMs: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const entry: Pending = { dueMs: this.#nowMs + Math.max(delayMs, 0), order: this.#order++, action };
    this.#pending.add(entry);
    return { cancel: () => this.#pending.delete(entry) };
  }

  /** How many actions wait; a leak check asserts 0. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Moves time by `ms`, running each due action at its own time. For logic without promises. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#due(endMs); next !== undefined; next = this.#due(endMs)) this.#run(next);
    this.#nowMs = endMs;
  }

  /** As `advance`, but lets promise continuations run before, between and after the actions. */
  async advanceAsync(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#due(endMs); next !== undefined; next = this.#due(endMs)) {
      this.#run(next);
      await settle();
    }
    this.#nowMs = endMs;
  }

  #run(entry: Pending): void {
    this.#pending.delete(entry);
    this.#nowMs = Math.max(this.#nowMs, entry.dueMs);
    entry.action();
  }

  #due(endMs: number): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.dueMs > endMs) continue;
      if (
        first === undefined ||
        entry.dueMs < first.dueMs ||
        (entry.dueMs === first.dueMs && entry.order < first.order)
      ) {
        first = entry;
      }
    }
    return first;
  }
}

/** One turn of the event loop: all promise continuations that are ready have run after it. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
