/**
 * `weighted`: the smallest (active + queued + own unacknowledged + just failed) / (slots × base_weight); equals, so all idle nodes, take
 * turns in proportion to slots × base_weight.
 *
 * A formula with + 1 in the numerator would rank idle nodes by weight alone and give every one of a series of single calls
 * to the heaviest node.
 */
import type { NodeView } from "../fleet/node-view.ts";
import { createCostPolicy } from "./cost-policy.ts";
import type { Policy } from "./picker.ts";

export interface WeightedOptions {
  /** A node that would have to load the model counts as this many more calls. 0 and up, default 8. */
  readonly coldPenalty?: number;
}

export function createWeightedPolicy({ coldPenalty = 8 }: WeightedOptions = {}): Policy {
  const coldOf = (node: NodeView, modelKey: string): number => (node.loadedModels.has(modelKey) ? 0 : coldPenalty);
  return createCostPolicy({
    name: "weighted",
    cost: (node, { modelKey }, load) =>
      (node.active + node.queued + load.extraLoad(node) + coldOf(node, modelKey)) / weightOf(node),
    terms: (node, { modelKey }, load) => ({
      active: node.active,
      queued: node.queued,
      unseen: load.extraLoad(node),
      cold: coldOf(node, modelKey),
      slots: node.slots,
      weight: node.baseWeight,
    }),
    share: weightOf,
  });
}

function weightOf(node: NodeView): number {
  return node.slots * node.baseWeight;
}
