/** All parts of the node's status at one moment, read from whoever owns them. */
import type { ModelInventory, NodeCondition, NodeIdentity, NodeLoad } from "@drover/proto/drover/fleet/v1/fleet_pb";

export interface NodeStatusSource {
  readonly identity: NodeIdentity;
  readonly condition: () => NodeCondition;
  readonly inventory: () => ModelInventory;
  readonly load: () => NodeLoad;
}
