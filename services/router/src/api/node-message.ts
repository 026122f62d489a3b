/**
 * A node as RouterService shows it, from what the fleet knows. It changes nothing and asks nobody.
 */

import { create } from "@bufbuild/protobuf";
import { protoDuration } from "@drover/platform";
import { type Node, NodeAvailability, NodeSchema } from "@drover/proto/drover/router/v1/router_pb";
import {
  type Availability,
  type FleetMember,
  type FleetSnapshot,
  type HealthReport,
  identityOf,
  type NodeView,
} from "@drover/routing";
import { compareText } from "./compare-text.ts";

export interface FleetFacts {
  readonly snapshot: FleetSnapshot;
  /** The endpoints as they are now; the snapshot's own may be older. */
  readonly members: readonly FleetMember[];
  readonly nowMs: number;
  /** Attempts of this router that run on a node. */
  readonly ownAttempts: (nodeId: string) => number;
  readonly healthOf: (nodeId: string) => HealthReport;
}

/** Every node and every endpoint that has never answered, by name; endpoints without a name come last. */
export function toNodeMessages(facts: FleetFacts): Node[] {
  const known = facts.snapshot.nodes.flatMap((node) => messagesOf(node, facts));
  const strangers = facts.members.filter((member) => identityOf(member.link) === undefined).map(strangerMessage);
  return [...known.sort(byName), ...strangers.sort((a, b) => compareText(a.endpoint, b.endpoint))];
}

/** The node with this id; undefined when it has left the fleet. */
export function toNodeMessage(nodeId: string, facts: FleetFacts): Node | undefined {
  const node = facts.snapshot.byId.get(nodeId);
  return node === undefined ? undefined : messagesOf(node, facts)[0];
}

/** One; but where two live agents claim one id each endpoint is shown, since neither speaks for the other. */
function messagesOf(node: NodeView, facts: FleetFacts): Node[] {
  const claiming = facts.members.filter((member) => identityOf(member.link)?.id === node.id);
  const sources = [...new Set(claiming.flatMap((member) => member.sources))].sort();
  if (node.availability === "conflicting") {
    return claiming.map((member) => nodeMessage(node, { member, sources: member.sources, facts }));
  }
  const speaker = claiming.find((member) => member.endpoint === node.endpoint);
  return speaker === undefined ? [] : [nodeMessage(node, { member: speaker, sources, facts })];
}

interface Shown {
  readonly member: FleetMember;
  readonly sources: readonly string[];
  readonly facts: FleetFacts;
}

function nodeMessage(node: NodeView, { member, sources, facts }: Shown): Node {
  const parts = member.link.kind === "connecting" ? undefined : member.link.known.parts;
  const ageMs = statusAgeMs(member, facts.nowMs);
  const health = facts.healthOf(node.id);
  // What the node itself says comes first: it is why nobody could call it, ejected or not.
  const isEjected = node.availability === "available" && health.isEjected;
  return create(NodeSchema, {
    endpoint: member.endpoint,
    availability: isEjected ? NodeAvailability.EJECTED : AVAILABILITIES[node.availability],
    detail: isEjected ? health.detail : node.detail,
    healthScore: health.score,
    ownAttempts: facts.ownAttempts(node.id),
    sources: [...sources],
    isNameShared: node.isNameShared,
    ...(parts?.identity === undefined ? {} : { identity: parts.identity }),
    ...(parts?.condition === undefined ? {} : { condition: parts.condition }),
    ...(parts?.inventory === undefined ? {} : { inventory: parts.inventory }),
    ...(parts?.load === undefined ? {} : { load: parts.load }),
    ...(ageMs === undefined ? {} : { statusAge: protoDuration(ageMs) }),
  });
}

/** An endpoint of which nothing is known but that discovery names it. */
function strangerMessage({ endpoint, sources, told, link }: FleetMember): Node {
  const failure = link.kind === "connecting" ? link.failure : "";
  const name = told?.nodeName === undefined ? [] : [`discovery calls it ${told.nodeName}`];
  const standing = told === undefined || told.standing.kind === "serving" ? [] : [told.standing.reason];
  const why = failure === "" ? "its agent has not answered yet" : failure;
  return create(NodeSchema, {
    endpoint,
    availability: failure === "" ? NodeAvailability.CONNECTING : NodeAvailability.UNREACHABLE,
    detail: [why, ...name, ...standing].join("; "),
    sources: [...sources],
  });
}

/** Whole milliseconds; of a node that was lost, since its loss. */
function statusAgeMs({ link }: FleetMember, nowMs: number): number | undefined {
  switch (link.kind) {
    case "connecting":
      return undefined;
    case "attached":
      return Math.max(Math.round(nowMs - link.heardMs), 0);
    case "lost":
      return Math.max(Math.round(nowMs - link.sinceMs), 0);
  }
}

const AVAILABILITIES: Readonly<Record<Availability, NodeAvailability>> = {
  available: NodeAvailability.AVAILABLE,
  connecting: NodeAvailability.CONNECTING,
  unreachable: NodeAvailability.UNREACHABLE,
  "ollama-unreachable": NodeAvailability.OLLAMA_UNREACHABLE,
  draining: NodeAvailability.DRAINING,
  conflicting: NodeAvailability.CONFLICTING,
};

function byName(a: Node, b: Node): number {
  return (
    compareText(a.identity?.name ?? "", b.identity?.name ?? "") ||
    compareText(a.identity?.id ?? "", b.identity?.id ?? "") ||
    compareText(a.endpoint, b.endpoint)
  );
}
