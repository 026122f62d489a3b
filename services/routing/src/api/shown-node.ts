/**
 * A node as operators are shown it, before it is a message: who speaks for it, which sources name it, what this router itself
 * knows of it. Compared from look to look, so that only what changed becomes a message.
 */

import type { NodeTotals } from "../dispatch/node-tally.ts";
import { identityOf } from "../fleet/link-state.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { FleetMember, FleetSnapshot } from "../fleet/snapshot.ts";
import type { HealthReport } from "../health/node-health.ts";
import { compareText } from "./compare-text.ts";

export interface FleetFacts {
  readonly snapshot: FleetSnapshot;
  /** The endpoints as they are now; the snapshot's own may be older. */
  readonly members: readonly FleetMember[];
  readonly nowMs: number;
  /** Attempts of this router that run on a node. */
  readonly ownAttempts: (nodeId: string) => number;
  readonly totalsOf: (nodeId: string) => NodeTotals;
  readonly healthOf: (nodeId: string) => HealthReport;
}

export interface ShownNode {
  /** Tells entries apart: no two have the same. */
  readonly endpoint: string;
  readonly member: FleetMember;
  readonly sources: readonly string[];
  /** Undefined while its agent has never answered. */
  readonly known: KnownNode | undefined;
}

export interface KnownNode {
  readonly node: NodeView;
  readonly health: HealthReport;
  readonly ownAttempts: number;
  readonly totals: NodeTotals;
}

/** Every node and every endpoint that has never answered, in no order. */
export function showNodes(facts: FleetFacts): ShownNode[] {
  const claims = membersById(facts.members);
  const shown: ShownNode[] = [];
  for (const node of facts.snapshot.nodes) {
    for (const each of shownOf(node, claims.get(node.id) ?? [], facts)) shown.push(each);
  }
  for (const member of facts.members) if (identityOf(member.link) === undefined) shown.push(shownStranger(member));
  return shown;
}

/** By name; endpoints without a name come last. */
export function byName(a: ShownNode, b: ShownNode): number {
  return (
    Number(a.known === undefined) - Number(b.known === undefined) ||
    compareText(nameOf(a), nameOf(b)) ||
    compareText(a.known?.node.id ?? "", b.known?.node.id ?? "") ||
    compareText(a.endpoint, b.endpoint)
  );
}

/** As its own agent says: two agents with one id are one node, and have each its name. */
function nameOf({ member, known }: ShownNode): string {
  return identityOf(member.link)?.name ?? known?.node.name ?? "";
}

/** The node with this id; undefined when it has left the fleet. */
export function showNode(nodeId: string, facts: FleetFacts): ShownNode | undefined {
  const node = facts.snapshot.byId.get(nodeId);
  return node === undefined ? undefined : shownOf(node, membersById(facts.members).get(nodeId) ?? [], facts)[0];
}

/** One; but where two live agents claim one id each endpoint is shown, since neither speaks for the other. */
function shownOf(node: NodeView, claiming: readonly FleetMember[], facts: FleetFacts): ShownNode[] {
  const known = {
    node,
    health: facts.healthOf(node.id),
    ownAttempts: facts.ownAttempts(node.id),
    totals: facts.totalsOf(node.id),
  };
  if (node.availability === "conflicting") {
    return claiming.map((member) => ({ endpoint: member.endpoint, member, sources: member.sources, known }));
  }
  const member = claiming.find(({ endpoint }) => endpoint === node.endpoint);
  if (member === undefined) return [];
  const sources =
    claiming.length === 1 ? member.sources : [...new Set(claiming.flatMap((each) => each.sources))].sort();
  return [{ endpoint: member.endpoint, member, sources, known }];
}

function shownStranger(member: FleetMember): ShownNode {
  return { endpoint: member.endpoint, member, sources: member.sources, known: undefined };
}

function membersById(members: readonly FleetMember[]): ReadonlyMap<string, readonly FleetMember[]> {
  const byId = new Map<string, FleetMember[]>();
  for (const member of members) {
    const id = identityOf(member.link)?.id;
    if (id === undefined) continue;
    const claiming = byId.get(id);
    if (claiming === undefined) byId.set(id, [member]);
    else claiming.push(member);
  }
  return byId;
}
