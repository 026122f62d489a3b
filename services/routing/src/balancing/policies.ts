/**
 * The policies by the name that `--policy` takes. A new one is added here and inherits the shared suite of behaviour.
 */
import { createLeastConnectionsPolicy } from "./least-connections-policy.ts";
import type { Policy } from "./picker.ts";
import { createRoundRobinPolicy } from "./round-robin-policy.ts";
import { createWeightedPolicy } from "./weighted-policy.ts";

export const POLICY_NAMES = ["weighted", "least-connections", "round-robin"] as const;
export type PolicyName = (typeof POLICY_NAMES)[number];

export function createPolicy(name: PolicyName): Policy {
  switch (name) {
    case "weighted":
      return createWeightedPolicy();
    case "least-connections":
      return createLeastConnectionsPolicy();
    case "round-robin":
      return createRoundRobinPolicy();
  }
}
