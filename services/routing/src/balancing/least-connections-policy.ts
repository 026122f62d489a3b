/**
 * `least-connections`: the fewest calls that run or wait, whatever the node's size; equals take turns.
 */
import { createCostPolicy } from "./cost-policy.ts";
import type { Policy } from "./picker.ts";

export function createLeastConnectionsPolicy(): Policy {
  return createCostPolicy({
    name: "least-connections",
    cost: (node, _profile, load) => node.active + node.queued + load.extraLoad(node),
    terms: (node, _profile, load) => ({ active: node.active, queued: node.queued, unseen: load.extraLoad(node) }),
    share: () => 1,
  });
}
