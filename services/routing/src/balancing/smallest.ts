/**
 * The nodes whose score is smallest; more than one when they tie.
 */
import type { NodeView } from "../fleet/node-view.ts";

export function smallest(nodes: readonly NodeView[], scoreOf: (node: NodeView) => number): readonly NodeView[] {
  let tied: NodeView[] = [];
  let best = Number.POSITIVE_INFINITY;
  for (const node of nodes) {
    const score = scoreOf(node);
    if (score < best) {
      best = score;
      tied = [node];
    } else if (score === best) {
      tied.push(node);
    }
  }
  return tied;
}
