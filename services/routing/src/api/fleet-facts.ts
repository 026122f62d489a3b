/**
 * What this router knows of its fleet now, gathered for those who show it.
 */
import type { Clock } from "@drover/platform";
import type { LeaseLedger } from "../balancing/lease-ledger.ts";
import type { NodeTally } from "../dispatch/node-tally.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { NodeHealth } from "../health/node-health.ts";
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
