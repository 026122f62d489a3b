/**
 * `round-robin`: each node in turn, whatever it has to do.
 */
import { createCostPolicy } from "./cost-policy.ts";
import type { Policy } from "./picker.ts";

export function createRoundRobinPolicy(): Policy {
  return createCostPolicy({ name: "round-robin", cost: () => 0, terms: () => ({}), share: () => 1 });
}
