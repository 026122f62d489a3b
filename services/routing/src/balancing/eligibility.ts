/**
 * Which nodes may take a call at all: the one filter that every policy shares. Each node that may not has exactly one
 * reason, the first that applies, ordered from what the caller can do nothing about to what waiting can mend.
 */
import type { Labels } from "@drover/platform";
import type { ModelView, NodeView } from "../fleet/node-view.ts";
import { distinctRunners, largestContext } from "../fleet/runner-view.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import type { HealthGate } from "../health/health-gate.ts";
import type { CallProfile } from "./call-profile.ts";
import type { PickRequest } from "./picker.ts";

export type Exclusion =
  | "other-node-asked-for"
  | "labels-differ"
  | "lacks-model"
  | "lacks-capability"
  | "context-too-small"
  | "failed-in-this-call"
  | "unavailable"
  | "ejected"
  | "queue-full";

export interface Eligibility {
  readonly candidates: readonly NodeView[];
  readonly excluded: readonly { readonly node: NodeView; readonly exclusion: Exclusion }[];
}

/** What this router knows of nodes beside what they told. */
export interface OwnKnowledge {
  readonly health: HealthGate;
  /** Calls that it sent and that the node's status does not count yet. */
  readonly unackedSends: (node: NodeView) => number;
}

export function sortOut(request: PickRequest, snapshot: FleetSnapshot, own: OwnKnowledge): Eligibility {
  const candidates: NodeView[] = [];
  const excluded: { node: NodeView; exclusion: Exclusion }[] = [];
  for (const node of snapshot.nodes) {
    const exclusion = exclusionOf(node, request, own);
    if (exclusion === undefined) candidates.push(node);
    else excluded.push({ node, exclusion });
  }
  return { candidates, excluded };
}

function exclusionOf(node: NodeView, { profile, excluded }: PickRequest, own: OwnKnowledge): Exclusion | undefined {
  if (profile.node !== undefined && !isAddressedBy(node, profile.node)) return "other-node-asked-for";
  if (!hasLabels(node, profile.labels)) return "labels-differ";
  const model = node.models.get(profile.modelKey);
  if (model === undefined) return "lacks-model";
  if (!hasCapabilities(model, profile)) return "lacks-capability";
  if (profile.contextAbove > 0 && largestContext(node.runners.get(profile.modelKey)) <= profile.contextAbove)
    return "context-too-small";
  if (excluded.has(node.id)) return "failed-in-this-call";
  if (node.availability !== "available") return "unavailable";
  if (isFull(node, own)) return "queue-full";
  if (own.health.isHidden(node, profile.modelKey)) return "ejected";
  return undefined;
}

/**
 * Its queue as told, and what was sent since: the calls of a node that died are placed in one turn, before any status could
 * tell of them.
 */
function isFull(node: NodeView, { unackedSends }: OwnKnowledge): boolean {
  const { queued, queueLimit, active, slots, runners } = node;
  if (queueLimit === 0) return false;
  if (queued >= queueLimit) return true;
  const sent = unackedSends(node);
  // Nearly always, and this runs for every node of every pick.
  if (sent === 0) return false;
  let runnerSlots = 0;
  for (const runner of distinctRunners(runners)) runnerSlots += runner.slots;
  const freeSlots = Math.max(Math.max(slots, runnerSlots) - active, 0);
  return sent >= freeSlots + queueLimit - queued;
}

/** An empty list says that the agent does not know, not that the model can do nothing. */
function hasCapabilities(model: ModelView, { capabilities, mustTellCapabilities }: CallProfile): boolean {
  if (model.capabilities.size === 0 && !mustTellCapabilities) return true;
  return capabilities.every((name) => model.capabilities.has(name));
}

/** A name that two nodes share addresses neither; only their ids do. */
export function isAddressedBy(node: NodeView, idOrName: string): boolean {
  return node.id === idOrName || (node.name === idOrName && !node.isNameShared);
}

function hasLabels(node: NodeView, labels: Labels): boolean {
  for (const [key, value] of labels) if (node.labels[key] !== value) return false;
  return true;
}
