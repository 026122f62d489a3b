/**
 * Breaks ties so that equal nodes share in proportion to their weights: smooth weighted round-robin, as nginx does it.
 * Plain strict comparison would always take the first of equals and starve the others.
 */
import type { NodeView } from "../fleet/node-view.ts";

/** Credits of nodes that left are dropped once this many are held beyond the nodes at hand. */
const STALE_MAX = 1_024;

export class Rotation {
  readonly #credits = new Map<string, number>();

  /** Nodes whose turn is remembered. */
  get size(): number {
    return this.#credits.size;
  }

  /** `nodes` is not empty. A node that is new starts level with the others. */
  next(nodes: readonly NodeView[], weightOf: (node: NodeView) => number): NodeView {
    if (this.#credits.size > nodes.length + STALE_MAX) this.#credits.clear();
    let total = 0;
    let best: NodeView | undefined;
    let bestCredit = Number.NEGATIVE_INFINITY;
    for (const node of nodes) {
      const weight = weightOf(node);
      const credit = (this.#credits.get(node.id) ?? 0) + weight;
      this.#credits.set(node.id, credit);
      total += weight;
      if (credit > bestCredit) {
        best = node;
        bestCredit = credit;
      }
    }
    if (best === undefined) throw new RangeError("a rotation needs at least one node");
    this.#credits.set(best.id, bestCredit - total);
    return best;
  }
}
