/**
 * Nodes, snapshots and call profiles for tests, each complete and sound unless told otherwise.
 */
import { modelKey } from "@drover/platform";
import type { CallProfile } from "../balancing/call-profile.ts";
import type { ModelView, NodeView } from "../fleet/node-view.ts";
import type { RunnerView } from "../fleet/runner-view.ts";
import type { FleetMember, FleetSnapshot } from "../fleet/snapshot.ts";

export const MODEL = "llama3.2:1b";

export interface NodeViewOptions extends Partial<Omit<NodeView, "models" | "loadedModels">> {
  /** Names of the models on its disk, default MODEL. */
  readonly models?: readonly string[];
  /** Capabilities of all of them. */
  readonly capabilities?: readonly string[];
  /** Names of the models in memory, default all on its disk. */
  readonly loaded?: readonly string[];
}

/** An idle node that has MODEL loaded. Its id is its name with "id-" before it. */
export function nodeView(name: string, options: NodeViewOptions = {}): NodeView {
  const { models = [MODEL], capabilities = ["completion"], loaded = models, ...rest } = options;
  return {
    id: `id-${name}`,
    name,
    endpoint: `${name}:50052`,
    isNameShared: false,
    availability: "available",
    detail: "",
    isSuspect: false,
    labels: {},
    baseWeight: 100,
    incarnation: `incarnation-${name}`,
    routerSecret: `secret-${name}`,
    ackedSend: 0,
    models: new Map(models.map((model) => [keyOf(model), modelView(model, capabilities)])),
    isInventoryComplete: true,
    runners: new Map(loaded.map((model) => [keyOf(model), [runnerView()]])),
    loadedModels: new Set(loaded.map(keyOf)),
    slots: 1,
    active: 0,
    queued: 0,
    queueLimit: 100,
    ...rest,
  };
}

const UNLEARNED = { prefillTokensPerSecond: undefined, bytesPerToken: undefined };

/** An idle runner with the model's own options, unless told otherwise. */
export function runnerView(options: Partial<RunnerView> = {}): RunnerView {
  const load = { slots: 1, active: 0, queued: 0 };
  return { optionsJson: "", state: "loaded", ...load, contextLength: 0, ...UNLEARNED, ...options };
}

function modelView(name: string, capabilities: readonly string[]): ModelView {
  return { name, digest: "", sizeBytes: 0, capabilities: new Set(capabilities), contextLength: 0 };
}

export function keyOf(model: string): string {
  const key = modelKey(model);
  if (key === undefined) throw new Error(`"${model}" is no model name`);
  return key;
}

/** A fleet that is discovered and has told all, unless `members` say otherwise. */
export function snapshotOf(
  nodes: readonly NodeView[],
  rest: { readonly members?: readonly FleetMember[]; readonly isDiscovered?: boolean } = {},
): FleetSnapshot {
  return {
    nodes,
    byId: new Map(nodes.map((node) => [node.id, node])),
    members: rest.members ?? [],
    isDiscovered: rest.isDiscovered ?? true,
  };
}

export function callProfile(options: Partial<CallProfile> = {}): CallProfile {
  const model = options.model ?? MODEL;
  return {
    model,
    modelKey: keyOf(model),
    capabilities: ["completion"],
    labels: new Map(),
    node: undefined,
    session: undefined,
    namesContext: false,
    contextAbove: 0,
    mustTellCapabilities: false,
    ...options,
  };
}
