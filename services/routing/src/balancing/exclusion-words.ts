/**
 * Why a node may not take a call, in plain words that follow the node's name. For people who ask; no decision reads them.
 */
import type { NodeView } from "../fleet/node-view.ts";
import type { HealthGate } from "../health/health-gate.ts";
import type { CallProfile } from "./call-profile.ts";
import type { Exclusion } from "./eligibility.ts";

export function exclusionWords(node: NodeView, exclusion: Exclusion, profile: CallProfile, health: HealthGate): string {
  switch (exclusion) {
    case "other-node-asked-for":
      return `the call asks for node "${profile.node}" and no other`;
    case "labels-differ":
      return `its labels are not ${missingLabels(node, profile)}`;
    case "lacks-model":
      return node.isInventoryComplete ? "does not have the model" : `its models are not known: ${node.detail}`;
    case "lacks-capability":
      return `its copy of the model lacks ${missingCapabilities(node, profile)}`;
    case "context-too-small":
      return "its context for the model is not known to be large enough";
    case "failed-in-this-call":
      return "failed in this call";
    case "unavailable":
      return node.detail;
    case "ejected":
      return health.hidden(node, profile.modelKey)?.detail ?? "ejected";
    case "queue-full":
      return `its queue is full: ${node.queued} of ${node.queueLimit} wait`;
  }
}

function missingLabels(node: NodeView, { labels }: CallProfile): string {
  const missing = [...labels].filter(([key, value]) => node.labels[key] !== value);
  return missing.map(([key, value]) => `${key}=${value}`).join(",");
}

function missingCapabilities(node: NodeView, { modelKey, capabilities }: CallProfile): string {
  const known = node.models.get(modelKey)?.capabilities ?? new Set();
  return capabilities.filter((name) => !known.has(name)).join(", ");
}
