/**
 * What to say when no node can take a call: refuse it for good, or let it wait. It turns the filter's reasons into one
 * error that names the model, the nodes and what to do.
 */
import { DroverError, LISTED_MAX, listed, nearestNames } from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import { type FleetSnapshot, pendingEndpoints } from "../fleet/snapshot.ts";
import type { HealthGate } from "../health/health-gate.ts";
import type { CallProfile } from "./call-profile.ts";
import { type Eligibility, type Exclusion, isAddressedBy } from "./eligibility.ts";
import type { PickRequest, Refused, Waiting } from "./picker.ts";

/** When to try again where nothing better is known: the fleet's own status is at most a second old. */
const RETRY_AFTER_MS = 1_000;

export function verdictWithoutCandidate(
  request: PickRequest,
  eligibility: Eligibility,
  snapshot: FleetSnapshot,
  health: HealthGate,
): Waiting | Refused {
  const nodes = groupNodes(eligibility);
  const { profile } = request;
  // Before those that are away: a queue that is full now says more than a node that may come back.
  if (nodes["queue-full"].length > 0) return refuse(queueFull(profile, nodes["queue-full"]));
  if (nodes["ejected"].length > 0) return ejected(profile, nodes["ejected"], nodes["unavailable"], health);
  if (nodes["unavailable"].length > 0) return wait(unavailable(profile, nodes["unavailable"]));
  const pending = pendingEndpoints(snapshot, request.nowMs);
  if (!snapshot.isDiscovered || pending.length > 0) return wait(notReady(profile, pending.length, snapshot));
  if (snapshot.nodes.length === 0 && snapshot.members.length > 0) return wait(noneAnswers(profile, snapshot));
  if (profile.node !== undefined) {
    const problem = directNodeProblem(profile, profile.node, snapshot.nodes);
    if (problem !== undefined) return refuse(problem);
  }
  const unread = nodes["lacks-model"].filter(isUnread);
  if (unread.length > 0 && unread.length === nodes["lacks-model"].length + nodes["lacks-capability"].length) {
    return wait(unreadModels(profile, unread));
  }
  const failed = [...nodes["failed-in-this-call"], ...nodes["context-too-small"]];
  if (failed.length > 0) return refuse(allFailed(profile, failed));
  if (nodes["lacks-capability"].length > 0) return refuse(lacksCapability(profile, nodes["lacks-capability"]));
  if (profile.node !== undefined && nodes["lacks-model"].length > 0) {
    return refuse(nodeLacksModel(profile, profile.node, snapshot.nodes));
  }
  return refuse(modelNotFound(profile, snapshot, nodes["labels-differ"]));
}

const wait = (error: DroverError): Waiting => ({ kind: "wait", error });
const refuse = (error: DroverError): Refused => ({ kind: "refused", error });

function groupNodes(eligibility: Eligibility): Record<Exclusion, NodeView[]> {
  const groups: Record<Exclusion, NodeView[]> = {
    "other-node-asked-for": [],
    "labels-differ": [],
    "lacks-model": [],
    "lacks-capability": [],
    "context-too-small": [],
    "failed-in-this-call": [],
    unavailable: [],
    ejected: [],
    "queue-full": [],
  };
  for (const { node, exclusion } of eligibility.excluded) groups[exclusion].push(node);
  return groups;
}

/** Nothing is known of the models of a fleet that never answered: it would be wrong to say that nobody has this one. */
function noneAnswers(profile: CallProfile, { members }: FleetSnapshot): DroverError {
  const failures = new Set(members.map(({ link }) => (link.kind === "connecting" ? link.failure : "")));
  const why = listed([...failures].filter((failure) => failure !== ""));
  const who =
    members.length === 1 ? "The one node of this fleet does not answer" : `None of the ${members.length} nodes answers`;
  return new DroverError("no_node_available", `${who} (${why}); ListNodes shows each.`, {
    facts: { model: profile.model },
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function unavailable(profile: CallProfile, nodes: readonly NodeView[]): DroverError {
  const states = listed(nodes.map((node) => `${node.name}: ${node.detail}`));
  return new DroverError("no_node_available", `No node that has model "${profile.model}" takes work now (${states}).`, {
    facts: { model: profile.model },
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** All that have the model are hidden by their failures, or away. */
function ejected(
  profile: CallProfile,
  nodes: readonly NodeView[],
  away: readonly NodeView[],
  health: HealthGate,
): Waiting {
  const hidden = nodes.map((node) => health.hidden(node, profile.modelKey));
  const states = listed([
    ...nodes.map((node, index) => `${node.name}: ${hidden[index]?.detail ?? ""}`),
    ...away.map((node) => `${node.name}: ${node.detail}`),
  ]);
  const soonestMs = Math.min(...hidden.map((each) => each?.retryAfterMs ?? Number.POSITIVE_INFINITY));
  const isKnown = soonestMs !== Number.POSITIVE_INFINITY;
  const message = `No node that has model "${profile.model}" takes work now (${states}).`;
  const error = new DroverError("no_node_available", message, {
    facts: { model: profile.model },
    retryAfterMs: isKnown ? Math.max(soonestMs, RETRY_AFTER_MS) : RETRY_AFTER_MS,
  });
  return { kind: "wait", error, ...(isKnown ? { expectedMs: soonestMs } : {}) };
}

function queueFull(profile: CallProfile, nodes: readonly NodeView[]): DroverError {
  const names = listed(nodes.map((node) => `${node.name} with ${node.queued} waiting`));
  const message = `Every queue for model "${profile.model}" is full (${names}): try again later, or add nodes.`;
  return new DroverError("queue_full", message, { facts: { model: profile.model }, retryAfterMs: RETRY_AFTER_MS });
}

function notReady(profile: CallProfile, pending: number, snapshot: FleetSnapshot): DroverError {
  const missing = snapshot.isDiscovered
    ? `${pending} of ${snapshot.members.length} nodes have not told their models yet`
    : "discovery has not answered yet";
  return new DroverError("fleet_not_ready", `No node with model "${profile.model}" is known so far, and ${missing}.`, {
    facts: { model: profile.model },
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** It answers, but its Ollama never did: it may well have the model. Only where no other node can tell is that waited for. */
function isUnread(node: NodeView): boolean {
  return !node.isInventoryComplete && node.availability !== "unreachable";
}

function unreadModels(profile: CallProfile, nodes: readonly NodeView[]): DroverError {
  const states = listed(nodes.map((node) => `${node.name}: ${node.detail}`));
  return new DroverError("fleet_not_ready", `No node with model "${profile.model}" is known so far (${states}).`, {
    facts: { model: profile.model },
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** What is wrong with `drover-node`; undefined when it names a node, so that the reason lies elsewhere. */
function directNodeProblem(profile: CallProfile, wanted: string, nodes: readonly NodeView[]): DroverError | undefined {
  const facts = { model: profile.model, node: wanted };
  if (nodes.some((node) => isAddressedBy(node, wanted))) return undefined;
  const sharing = nodes.filter((node) => node.name === wanted);
  if (sharing.length > 0) {
    const ids = listed(sharing.map((node) => node.id));
    return new DroverError(
      "node_name_ambiguous",
      `${sharing.length} nodes are named "${wanted}": use an id (${ids}).`,
      { facts },
    );
  }
  const names = listed(nodes.map((node) => node.name));
  return new DroverError("node_not_found", `No node has the id or name "${wanted}". Known nodes: ${names}.`, { facts });
}

/** Reached only when the last failure itself was not worth showing; dispatch prefers that one. */
function allFailed(profile: CallProfile, nodes: readonly NodeView[]): DroverError {
  const names = listed(nodes.map((node) => node.name));
  return new DroverError(
    "no_node_available",
    `Every node that has model "${profile.model}" failed in this call (${names}).`,
    {
      facts: { model: profile.model },
      retryAfterMs: RETRY_AFTER_MS,
    },
  );
}

function lacksCapability(profile: CallProfile, nodes: readonly NodeView[]): DroverError {
  const known = nodes[0]?.models.get(profile.modelKey)?.capabilities ?? new Set<string>();
  const missing = profile.capabilities.filter((name) => !known.has(name));
  const message = `Model "${profile.model}" does not support ${missing.join(", ")}: it has ${[...known].join(", ")}. Ask another model.`;
  return new DroverError("capability_missing", message, {
    facts: { model: profile.model, capabilities: missing.join(",") },
  });
}

/** The node that `drover-node` names lacks the model. */
function nodeLacksModel(profile: CallProfile, wanted: string, nodes: readonly NodeView[]): DroverError {
  const others = nodes.filter((node) => node.models.has(profile.modelKey)).map((node) => node.name);
  const elsewhere = others.length === 0 ? "" : `; ${listed(others)} would`;
  return new DroverError(
    "model_not_found",
    `Node "${wanted}" does not have model "${profile.model}"${elsewhere}. Run \`ollama pull ${profile.model}\` on it.`,
    { facts: { model: profile.model, node: wanted } },
  );
}

function modelNotFound(profile: CallProfile, snapshot: FleetSnapshot, labelled: readonly NodeView[]): DroverError {
  const facts = { model: profile.model };
  const elsewhere = labelled.filter((node) => node.models.has(profile.modelKey));
  if (elsewhere.length > 0) {
    const wanted = [...profile.labels].map(([key, value]) => `${key}=${value}`).join(",");
    const names = listed(elsewhere.map((node) => node.name));
    return new DroverError(
      "model_not_found",
      `No node with labels ${wanted} has model "${profile.model}"; without them ${names} would.`,
      { facts },
    );
  }
  const parts = [`No node has model "${profile.model}".`];
  const near = nearestModels(profile.model, modelNames(snapshot.nodes));
  if (snapshot.members.length === 0)
    parts.push("No nodes are known: start an agent where they are looked for, or start the router with --nodes.");
  else if (near.length > 0) parts.push(`Nearest: ${near.join(", ")}.`);
  else parts.push(`Run \`ollama pull ${profile.model}\` on a node.`);
  const away = snapshot.nodes.filter((node) => node.availability === "unreachable" || !node.isInventoryComplete);
  const names = away.map((node) => node.name);
  const others = snapshot.members.filter((member) => member.link.kind === "connecting").length;
  if (names.length > 0) parts.push(`Away now: ${listed(names)}.`);
  if (others > 0) parts.push(`${others} node${others === 1 ? " has" : "s have"} never answered.`);
  return new DroverError("model_not_found", parts.join(" "), { facts });
}

/** By the whole name, else by the name without its tag: "smolm2" means "smollm2:135m". */
function nearestModels(wanted: string, names: ReadonlySet<string>): readonly string[] {
  const near = nearestNames(wanted, names, LISTED_MAX);
  if (near.length > 0) return near;
  const untagged = new Set([...names].map(withoutTag));
  const bases = new Set(nearestNames(withoutTag(wanted), untagged, LISTED_MAX));
  return [...names].filter((name) => bases.has(withoutTag(name))).slice(0, LISTED_MAX);
}

function withoutTag(name: string): string {
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}

function modelNames(nodes: readonly NodeView[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodes) for (const model of node.models.values()) names.add(model.name);
  return names;
}
