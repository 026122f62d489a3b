/**
 * What this router knows of its fleet now, gathered for those who show it.
 */
import type { Clock } from "@drover/platform";
import type { Fleet, LeaseLedger, NodeHealth } from "@drover/routing";
import type { NodeTally } from "../observe/node-tally.ts";
import type { FleetFacts } from "./shown-node.ts";

export interface FleetKnowledge {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly ledger: LeaseLedger;
  readonly health: NodeHealth;
  readonly tally: NodeTally;
}

export function fleetFacts({ clock, fleet, ledger, health, tally }: FleetKnowledge): FleetFacts {
  return {
    snapshot: fleet.snapshot,
    members: fleet.members(),
    nowMs: clock.nowMs(),
    ownAttempts: (nodeId) => ledger.openLeases(nodeId),
    totalsOf: (nodeId) => tally.of(nodeId),
    healthOf: (nodeId) => health.report(nodeId),
  };
}
