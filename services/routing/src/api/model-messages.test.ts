import { describe, expect, it } from "vitest";
import type { Availability, ModelView, NodeView } from "../fleet/node-view.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import { toModelMessages } from "./model-messages.ts";

const MODEL: ModelView = { name: "m:1", digest: "d", sizeBytes: 5, capabilities: new Set(), contextLength: 0 };

function node(name: string, models: Record<string, Partial<ModelView>>, more: Partial<NodeView> = {}): NodeView {
  const views = new Map(Object.entries(models).map(([key, model]) => [key, { ...MODEL, name: key, ...model }]));
  const base = {
    id: `id-${name}`,
    name,
    availability: "available" as Availability,
    loadedModels: new Set<string>(),
    runners: new Map(),
  };
  return { ...base, models: views, ...more } as NodeView;
}

function fleet(...nodes: NodeView[]): FleetSnapshot {
  return { nodes, byId: new Map(), members: [], isDiscovered: true };
}

describe("the models of a fleet", () => {
  it("are merged by key, sorted by name, with the best of each copy", () => {
    const models = toModelMessages(
      fleet(
        node("b", {
          "z:1": {},
          "a:1": { capabilities: new Set(["tools"]), contextLength: 10, sizeBytes: 7 },
        }),
        node(
          "a",
          { "a:1": { capabilities: new Set(["completion"]), contextLength: 20 } },
          { loadedModels: new Set(["a:1"]) },
        ),
      ),
    );
    expect(models.map((model) => model.name)).toEqual(["a:1", "z:1"]);
    expect(models[0]).toMatchObject({ capabilities: ["completion", "tools"], contextLength: 20, sizeBytes: 7n });
    expect(models[0]?.copies.map((copy) => [copy.nodeName, copy.isLoaded])).toEqual([
      ["a", true],
      ["b", false],
    ]);
  });

  it.each<[Availability, number]>([
    ["available", 1],
    ["draining", 1],
    ["ollama-unreachable", 1],
    ["connecting", 0],
    ["unreachable", 0],
    ["conflicting", 0],
  ])("of a node that is %s count %i", (availability, count) => {
    expect(toModelMessages(fleet(node("a", { "m:1": {} }, { availability })))).toHaveLength(count);
  });
});
