import { describe, expect, it } from "vitest";
import type { NodeView } from "../fleet/node-view.ts";
import { callProfile, nodeView, snapshotOf } from "../testing/node-views.ts";
import { createPicker } from "./create-picker.ts";
import { LeaseLedger } from "./lease-ledger.ts";
import { createPolicy } from "./policies.ts";

describe.each(["weighted", "least-connections"] as const)("the load that %s goes by", (name) => {
  function bench() {
    const picker = createPicker(createPolicy(name), new LeaseLedger());
    return (nodes: readonly NodeView[], node?: string) => {
      const request = { profile: callProfile({ node }), excluded: new Set<string>(), nowMs: 0 };
      const result = picker.pick(request, snapshotOf(nodes));
      if (result.kind !== "picked") throw result.error;
      return result;
    };
  }

  it("includes what was sent a moment ago, until the node tells of it itself", () => {
    const pick = bench();
    const nodes = [nodeView("a"), nodeView("b")];
    const sends = [1, 2, 3].map(() => pick(nodes, "a").lease);
    expect([1, 2, 3].map(() => pick(nodes).node.name)).toEqual(["b", "b", "b"]);
    // The agent of a took all three into account and says that they are over already.
    const told = [nodeView("a", { ackedSend: sends[2]?.send ?? 0 }), nodeView("b")];
    expect([1, 2, 3].map(() => pick(told).node.name)).toEqual(["a", "a", "a"]);
  });

  it("forgets what was sent before the node's Attach stream began anew", () => {
    const pick = bench();
    const nodes = [nodeView("a"), nodeView("b")];
    for (let count = 0; count < 3; count++) pick(nodes, "a");
    pick(nodes, "b");
    expect(pick([nodeView("a", { routerSecret: "another" }), nodeView("b")]).node.name).toBe("a");
  });

  it("includes what runs and what waits, from every router", () => {
    const pick = bench();
    expect(pick([nodeView("a", { active: 1 }), nodeView("b", { queued: 2 })]).node.name).toBe("a");
    expect(pick([nodeView("a", { active: 3 }), nodeView("b", { queued: 2 })]).node.name).toBe("b");
  });
});
