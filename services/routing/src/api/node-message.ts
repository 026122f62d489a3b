/**
 * A node as RouterService sends it, from what the fleet knows. It changes nothing and asks nobody.
 */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { protoDuration } from "@drover/platform";
import {
  type Node,
  NodeAvailability,
  NodeSchema,
  type NodeTotalsSchema,
} from "@drover/proto/drover/router/v1/router_pb";
import type { NodeTotals } from "../dispatch/node-tally.ts";
import type { Availability } from "../fleet/node-view.ts";
import type { FleetMember } from "../fleet/snapshot.ts";
import type { KnownNode, ShownNode } from "./shown-node.ts";

export function nodeMessage(shown: ShownNode, nowMs: number): Node {
  return shown.known === undefined ? strangerMessage(shown) : knownMessage(shown, shown.known, nowMs);
}

function knownMessage({ member, sources }: ShownNode, known: KnownNode, nowMs: number): Node {
  const { node, health, ownAttempts, totals } = known;
  const parts = member.link.kind === "connecting" ? undefined : member.link.known.parts;
  const ageMs = statusAgeMs(member, nowMs);
  return create(NodeSchema, {
    endpoint: member.endpoint,
    availability: isShownEjected(known) ? NodeAvailability.EJECTED : AVAILABILITIES[node.availability],
    detail: isShownEjected(known) ? health.detail : node.detail,
    healthScore: health.score,
    ownAttempts,
    totals: totalsMessage(totals),
    sources: [...sources],
    isNameShared: node.isNameShared,
    ...(parts?.identity === undefined ? {} : { identity: parts.identity }),
    ...(parts?.condition === undefined ? {} : { condition: parts.condition }),
    ...(parts?.inventory === undefined ? {} : { inventory: parts.inventory }),
    ...(parts?.load === undefined ? {} : { load: parts.load }),
    ...(ageMs === undefined ? {} : { statusAge: protoDuration(ageMs) }),
  });
}

/** What the node itself says comes first: it is why nobody could call it, ejected or not. */
export function isShownEjected({ node, health }: KnownNode): boolean {
  return node.availability === "available" && health.isEjected;
}

export function totalsMessage(totals: NodeTotals): MessageInitShape<typeof NodeTotalsSchema> {
  return {
    attempts: BigInt(totals.attempts),
    failedAttempts: BigInt(totals.failedAttempts),
    promptTokens: BigInt(totals.promptTokens),
    generatedTokens: BigInt(totals.generatedTokens),
  };
}

/** An endpoint of which nothing is known but that discovery names it. */
function strangerMessage({ endpoint, sources, member }: ShownNode): Node {
  return create(NodeSchema, {
    endpoint,
    availability: failureOf(member) === "" ? NodeAvailability.CONNECTING : NodeAvailability.UNREACHABLE,
    detail: strangerDetail(member),
    sources: [...sources],
  });
}

/** Why nothing is known of it, and what discovery says. */
export function strangerDetail(member: FleetMember): string {
  const { told } = member;
  const name = told?.nodeName === undefined ? [] : [`discovery calls it ${told.nodeName}`];
  const standing = told === undefined || told.standing.kind === "serving" ? [] : [told.standing.reason];
  return [failureOf(member) || "its agent has not answered yet", ...name, ...standing].join("; ");
}

function failureOf({ link }: FleetMember): string {
  return link.kind === "connecting" ? link.failure : "";
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
