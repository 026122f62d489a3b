/**
 * `weighted`: the smallest (active + queued + own unacknowledged + just failed) / (slots × base_weight); equals, so all idle nodes, take
 * turns in proportion to slots × base_weight.
 *
 * A formula with + 1 in the numerator would rank idle nodes by weight alone and give every one of a series of single calls
 * to the heaviest node.
 */
import type { NodeView } from "../fleet/node-view.ts";
import type { Policy } from "./picker.ts";
import { Rotation } from "./rotation.ts";
import { smallest } from "./smallest.ts";

export interface WeightedOptions {
  /** A node that would have to load the model counts as this many more calls. 0 and up, default 8. */
  readonly coldPenalty?: number;
}

export function createWeightedPolicy({ coldPenalty = 8 }: WeightedOptions = {}): Policy {
  const rotation = new Rotation();
  return {
    name: "weighted",
    choose(candidates, profile, load) {
      const tied = smallest(candidates, (node) => {
        const cold = node.loadedModels.has(profile.modelKey) ? 0 : coldPenalty;
        return (node.active + node.queued + load.extraLoad(node) + cold) / weightOf(node);
      });
      return rotation.next(tied, weightOf);
    },
  };
}

function weightOf(node: NodeView): number {
  return node.slots * node.baseWeight;
}
