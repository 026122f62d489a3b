import { describe, expect, it } from "vitest";
import type { NodeView } from "../fleet/node-view.ts";
import { callProfile, nodeView, snapshotOf } from "../testing/node-views.ts";
import { createPicker } from "./create-picker.ts";
import { LeaseLedger } from "./lease-ledger.ts";
import { createWeightedPolicy, type WeightedOptions } from "./weighted-policy.ts";

function createWeighted(options?: WeightedOptions) {
  const picker = createPicker(createWeightedPolicy(options), new LeaseLedger());
  return (nodes: readonly NodeView[]) => {
    const request = { profile: callProfile(), excluded: new Set<string>(), nowMs: 0 };
    const result = picker.pick(request, snapshotOf(nodes));
    if (result.kind !== "picked") throw result.error;
    return result;
  };
}

type Pick = ReturnType<typeof createWeighted>;

function sequentialPicks(pick: Pick, nodes: readonly NodeView[], calls: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let call = 0; call < calls; call++) {
    const { node, lease } = pick(nodes);
    lease.end();
    counts[node.name] = (counts[node.name] ?? 0) + 1;
  }
  return counts;
}

describe("the weighted policy", () => {
  it("shares 300 single calls over idle nodes of weights 1:2:3 as 50, 100 and 150", () => {
    const nodes = [
      nodeView("a", { baseWeight: 1 }),
      nodeView("b", { baseWeight: 2 }),
      nodeView("c", { baseWeight: 3 }),
    ];
    expect(sequentialPicks(createWeighted(), nodes, 300)).toEqual({ a: 50, b: 100, c: 150 });
  });

  it("takes slots times base weight for the weight", () => {
    const nodes = [nodeView("a", { slots: 4, baseWeight: 100 }), nodeView("b", { slots: 1, baseWeight: 200 })];
    expect(sequentialPicks(createWeighted(), nodes, 300)).toEqual({ a: 200, b: 100 });
  });

  it("spreads single calls smoothly instead of in runs", () => {
    const pick = createWeighted();
    const nodes = [
      nodeView("a", { baseWeight: 1 }),
      nodeView("b", { baseWeight: 1 }),
      nodeView("c", { baseWeight: 2 }),
    ];
    const names = Array.from({ length: 8 }, () => {
      const { node, lease } = pick(nodes);
      lease.end();
      return node.name;
    });
    expect(names.join("")).not.toMatch(/ccc/);
  });

  it("fills nodes in proportion to their weights while calls run", () => {
    const pick = createWeighted();
    const nodes = [nodeView("a", { baseWeight: 100 }), nodeView("b", { baseWeight: 300 })];
    const counts: Record<string, number> = {};
    for (let call = 0; call < 40; call++) {
      const { name } = pick(nodes).node;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    expect(counts).toEqual({ a: 10, b: 30 });
  });

  it("goes to the node with the least to do for its weight, queue included", () => {
    const pick = createWeighted();
    const busy = nodeView("busy", { slots: 4, active: 4, queued: 5 });
    const small = nodeView("small", { slots: 1, active: 1 });
    expect(pick([busy, small]).node.name).toBe("small");
  });

  it("counts a node that would have to load the model as eight calls more", () => {
    const pick = createWeighted();
    const cold = nodeView("cold", { loaded: [] });
    expect(pick([cold, nodeView("warm", { active: 7 })]).node.name).toBe("warm");
    expect(pick([cold, nodeView("warm", { active: 9 })]).node.name).toBe("cold");
  });

  it("lets the penalty be chosen", () => {
    const pick = createWeighted({ coldPenalty: 0 });
    const nodes = [nodeView("cold", { loaded: [] }), nodeView("warm")];
    expect(sequentialPicks(pick, nodes, 10)).toEqual({ cold: 5, warm: 5 });
  });

  it("gives a new warm node its share of single calls at once", () => {
    const pick = createWeighted();
    const old = [nodeView("a", { baseWeight: 100 }), nodeView("b", { baseWeight: 100 })];
    sequentialPicks(pick, old, 1_000);
    const counts = sequentialPicks(pick, [...old, nodeView("new", { baseWeight: 200 })], 40);
    expect(counts["new"]).toBe(20);
  });

  it("gives a new cold node work as soon as the warm ones have more than the penalty to do", () => {
    const pick = createWeighted();
    const nodes = [nodeView("warm", { active: 4, queued: 5 }), nodeView("new", { loaded: [] })];
    expect(pick(nodes).node.name).toBe("new");
  });
});
