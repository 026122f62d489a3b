/**
 * What Consul is told of this node: slow facts alone, since each change wakes every reader of the service. Load and models travel
 * on Attach; of the models only a hash stands here, so that a reader sees that they changed.
 */
import { createHash } from "node:crypto";
import { META_VALUE_BYTES, type PublishedState } from "@drover/platform";
import type { NodeIdentity } from "@drover/proto/drover/fleet/v1/fleet_pb";

/** Of the contracts: the version in the names of Drover's packages. */
const PROTO = "v1";

interface ModelFacts {
  readonly name: string;
  readonly digest: string;
}

export interface NodeFacts {
  readonly identity: NodeIdentity;
  /** Undefined before Ollama was read. */
  readonly models: readonly ModelFacts[] | undefined;
  readonly condition: ConditionFacts;
  /** Where Ollama is looked for, without secrets. */
  readonly ollamaUrl: string;
}

interface ConditionFacts {
  readonly isOllamaReachable: boolean;
  readonly ollamaVersion: string;
  readonly drainReason: string | undefined;
}

export function publishedNode(facts: NodeFacts): PublishedState {
  const { identity, ollamaUrl } = facts;
  const { isOllamaReachable, ollamaVersion, drainReason } = facts.condition;
  const note = isOllamaReachable
    ? `Ollama ${ollamaVersion} answers at ${ollamaUrl}`
    : `Ollama does not answer at ${ollamaUrl}`;
  return { meta: metaOf(identity, facts.models), alive: { isPassing: isOllamaReachable, note }, drainReason };
}

function metaOf(identity: NodeIdentity, models: readonly ModelFacts[] | undefined): Record<string, string> {
  const meta: Record<string, string> = {
    id: identity.id,
    name: identity.name,
    version: identity.version,
    proto: PROTO,
    base_weight: String(identity.baseWeight),
  };
  if (models !== undefined) meta["models_hash"] = modelsHash(models);
  const labels = Object.entries(identity.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  // Routers read labels on Attach; here they are for people, and a cut list would be a wrong one.
  if (labels !== "" && Buffer.byteLength(labels) <= META_VALUE_BYTES) meta["labels"] = labels;
  return meta;
}

/** Changes when a model comes, goes or is replaced. */
function modelsHash(models: readonly ModelFacts[]): string {
  const lines = models.map(({ name, digest }) => `${name} ${digest}`).sort();
  return createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16);
}
