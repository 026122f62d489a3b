/**
 * What `fleet.watch()` tells: the fleet as it is, then each change.
 */
import type { WatchFleetResponse } from "@drover/proto/drover/router/v1/router_pb";
import {
  type FleetNode,
  type FleetNodeLoad,
  type FleetNodeTotals,
  fleetNode,
  nodeLoad,
  nodeTotals,
} from "./fleet-node.ts";

/** Nodes are told apart by `endpoint`. */
export type FleetChange =
  /** The whole fleet; `continues`: it adds to the snapshot right before it, instead of replacing all. */
  | { readonly kind: "snapshot"; readonly nodes: readonly FleetNode[]; readonly continues: boolean }
  /** A node that is new or changed, whole, and why in plain words. */
  | { readonly kind: "node-changed"; readonly node: FleetNode; readonly reason: string }
  | { readonly kind: "node-removed"; readonly id: string; readonly endpoint: string; readonly reason: string }
  /** Only the load of a node is another. */
  | {
      readonly kind: "load-changed";
      readonly id: string;
      readonly endpoint: string;
      readonly load: FleetNodeLoad;
      readonly totals: FleetNodeTotals;
      readonly ownAttempts: number;
      readonly healthScore: number | undefined;
    };

/** Undefined for what a newer router may say. */
export function fleetChange({ event }: WatchFleetResponse): FleetChange | undefined {
  switch (event.case) {
    case "snapshot":
      return { kind: "snapshot", nodes: event.value.nodes.map(fleetNode), continues: event.value.continues };
    case "nodeChanged": {
      const { node, reason } = event.value;
      return node === undefined ? undefined : { kind: "node-changed", node: fleetNode(node), reason };
    }
    case "nodeRemoved": {
      const { id, endpoint, reason } = event.value;
      return { kind: "node-removed", id, endpoint, reason };
    }
    case "nodeLoadChanged": {
      const { id, endpoint, load, totals, ownAttempts, healthScore } = event.value;
      const known = { load: nodeLoad(load), totals: nodeTotals(totals), ownAttempts, healthScore };
      return { kind: "load-changed", id, endpoint, ...known };
    }
    default:
      return undefined;
  }
}
