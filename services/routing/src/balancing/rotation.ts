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

  /** All of them, whose turn is next first. Changes nothing: `next` would take the first one. */
  order(nodes: readonly NodeView[], weightOf: (node: NodeView) => number): readonly NodeView[] {
    const isForgotten = this.#isStale(nodes);
    const credits = new Map(
      nodes.map((node) => [node, (isForgotten ? 0 : (this.#credits.get(node.id) ?? 0)) + weightOf(node)]),
    );
    return [...nodes].sort((a, b) => (credits.get(b) ?? 0) - (credits.get(a) ?? 0));
  }

  /** `nodes` is not empty. A node that is new starts level with the others. */
  next(nodes: readonly NodeView[], weightOf: (node: NodeView) => number): NodeView {
    if (this.#isStale(nodes)) this.#credits.clear();
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

  #isStale(nodes: readonly NodeView[]): boolean {
    return this.#credits.size > nodes.length + STALE_MAX;
  }
}
