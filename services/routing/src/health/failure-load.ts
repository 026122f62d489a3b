/**
 * Counts failed attempts of the last seconds per node as if they still ran. A node that fails at once is always idle, and a
 * policy that goes by load would send it everything.
 */
import type { Clock } from "@drover/platform";

/** More failures at once do not make a node any less attractive. */
const REMEMBERED_MAX = 32;

export class FailureLoad {
  readonly #clock: Clock;
  readonly #lastsMs: number;
  /** When the failures of each node stop counting, oldest first. */
  readonly #ends = new Map<string, number[]>();

  constructor(clock: Clock, lastsMs: number) {
    this.#clock = clock;
    this.#lastsMs = lastsMs;
  }

  add(nodeId: string): void {
    const ends = this.#ends.get(nodeId) ?? [];
    ends.push(this.#clock.nowMs() + this.#lastsMs);
    if (ends.length > REMEMBERED_MAX) ends.shift();
    this.#ends.set(nodeId, ends);
  }

  of(nodeId: string): number {
    const ends = this.#ends.get(nodeId);
    if (ends === undefined) return 0;
    const nowMs = this.#clock.nowMs();
    while (ends[0] !== undefined && ends[0] <= nowMs) ends.shift();
    if (ends.length === 0) this.#ends.delete(nodeId);
    return ends.length;
  }

  /** Forgets nodes that are not among `nodes`. */
  retain(nodes: ReadonlyMap<string, unknown>): void {
    for (const id of this.#ends.keys()) if (!nodes.has(id)) this.#ends.delete(id);
  }
}
