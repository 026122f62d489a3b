/**
 * `least-connections`: the fewest calls that run or wait, whatever the node's size; equals take turns.
 */
import type { Policy } from "./picker.ts";
import { Rotation } from "./rotation.ts";
import { smallest } from "./smallest.ts";

export function createLeastConnectionsPolicy(): Policy {
  const rotation = new Rotation();
  return {
    name: "least-connections",
    choose(candidates, _profile, load) {
      const tied = smallest(candidates, (node) => node.active + node.queued + load.extraLoad(node));
      return rotation.next(tied, () => 1);
    },
  };
}
