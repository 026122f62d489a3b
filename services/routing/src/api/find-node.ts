/**
 * The one node that an operator means by an id or a name.
 */
import { DroverError, listed } from "@drover/platform";
import { isAddressedBy } from "../balancing/eligibility.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";

/** Throws a DroverError that says what to use instead. */
export function findNode(snapshot: FleetSnapshot, idOrName: string): NodeView {
  const facts = { node: idOrName };
  if (idOrName === "") {
    throw new DroverError("malformed_request", "The request names no node: set `node` to an id or a name.");
  }
  const found = snapshot.nodes.find((node) => isAddressedBy(node, idOrName));
  if (found?.availability === "conflicting") {
    throw new DroverError("node_name_ambiguous", `Node "${found.name}" cannot be addressed: ${found.detail}.`, {
      facts,
    });
  }
  if (found !== undefined) return found;
  const sharing = snapshot.nodes.filter((node) => node.name === idOrName).map((node) => node.id);
  if (sharing.length > 0) {
    throw new DroverError(
      "node_name_ambiguous",
      `${sharing.length} nodes are named "${idOrName}": use an id (${listed(sharing)}).`,
      { facts },
    );
  }
  const names = listed(snapshot.nodes.map((node) => node.name));
  throw new DroverError("node_not_found", `No node has the id or name "${idOrName}". Known nodes: ${names}.`, {
    facts,
  });
}
