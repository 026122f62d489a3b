/**
 * `round-robin`: each node in turn, whatever it has to do.
 */
import type { Policy } from "./picker.ts";
import { Rotation } from "./rotation.ts";

export function createRoundRobinPolicy(): Policy {
  const rotation = new Rotation();
  return {
    name: "round-robin",
    choose: (candidates) => rotation.next(candidates, () => 1),
  };
}
