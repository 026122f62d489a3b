/**
 * The models of a fleet as RouterService lists them: copies whose names are equal by Ollama's rules are one model.
 */
import { create } from "@bufbuild/protobuf";
import { displayModelName, parseModelName } from "@drover/platform";
import { type Model, ModelSchema } from "@drover/proto/drover/router/v1/router_pb";
import type { Availability, ModelView, NodeView } from "../fleet/node-view.ts";
import { largestContext } from "../fleet/runner-view.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import { compareText } from "./compare-text.ts";

/** Nodes whose agent answers; what the others have is not known to be still there. */
const REACHABLE: ReadonlySet<Availability> = new Set(["available", "draining", "ollama-unreachable"]);

interface Copy {
  readonly node: NodeView;
  readonly key: string;
  readonly model: ModelView;
}

/** The model with this key; undefined when no node that can be reached has it. */
export function toModelMessage(key: string, snapshot: FleetSnapshot): Model | undefined {
  const copies = snapshot.nodes.flatMap((node): Copy[] => {
    const model = REACHABLE.has(node.availability) ? node.models.get(key) : undefined;
    return model === undefined ? [] : [{ node, key, model }];
  });
  return copies.length === 0 ? undefined : modelMessage(copies);
}

/** By name; the copies of each by the name of their node. */
export function toModelMessages(snapshot: FleetSnapshot): Model[] {
  const byKey = new Map<string, Copy[]>();
  for (const node of snapshot.nodes) {
    if (!REACHABLE.has(node.availability)) continue;
    for (const [key, model] of node.models) {
      const copies = byKey.get(key);
      if (copies === undefined) byKey.set(key, [{ node, key, model }]);
      else copies.push({ node, key, model });
    }
  }
  return [...byKey.values()].map(modelMessage).sort((a, b) => compareText(a.name, b.name));
}

function modelMessage(copies: readonly Copy[]): Model {
  const sorted = [...copies].sort((a, b) => compareText(a.node.name, b.node.name) || compareText(a.node.id, b.node.id));
  return create(ModelSchema, {
    name: displayName(sorted[0]?.model.name ?? ""),
    capabilities: [...new Set(sorted.flatMap(({ model }) => [...model.capabilities]))].sort(),
    contextLength: Math.max(...sorted.map(({ model }) => model.contextLength)),
    sizeBytes: BigInt(Math.max(...sorted.map(({ model }) => model.sizeBytes))),
    copies: sorted.map(({ node, key, model }) => ({
      nodeId: node.id,
      nodeName: node.name,
      digest: model.digest,
      isLoaded: node.loadedModels.has(key),
      loadedContextLength: largestContext(node.runners.get(key)),
    })),
  });
}

/** Nodes may spell one model differently; callers see the short form with its tag. */
function displayName(name: string): string {
  const parsed = parseModelName(name);
  return parsed === undefined ? name : displayModelName(parsed);
}
