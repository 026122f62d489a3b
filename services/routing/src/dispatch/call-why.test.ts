import { decodeGrpcMessage } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { createPicker } from "../balancing/create-picker.ts";
import { LeaseLedger } from "../balancing/lease-ledger.ts";
import type { PickRequest } from "../balancing/picker.ts";
import { createPolicy } from "../balancing/policies.ts";
import type { NodeView } from "../fleet/node-view.ts";
import { DispatchBench, NOTHING_LEFT, RecordingCaller } from "../testing/dispatch-bench.ts";
import { callProfile, nodeView, runnerView, snapshotOf } from "../testing/node-views.ts";
import { CallWhy, WHY_BYTES_MAX } from "./call-why.ts";

function build() {
  const why = new CallWhy();
  const picker = why.watch(createPicker(createPolicy("weighted"), new LeaseLedger()));
  const request = (excluded: readonly string[] = []): PickRequest => ({
    profile: callProfile(),
    excluded: new Set(excluded),
    nowMs: 60_000,
  });
  const pick = (nodes: readonly NodeView[], excluded?: readonly string[]) =>
    picker.pick(request(excluded), snapshotOf(nodes));
  const told = (): string => {
    const caller = new RecordingCaller();
    why.tell(caller).end({ error: undefined, trailers: { "drover-call": "1" } });
    expect(caller.trailers["drover-call"]).toBe("1");
    return String(caller.trailers["drover-why"] ?? "");
  };
  return { why, picker, request, pick, told };
}

describe("why a call went where it went", () => {
  it("is the policy, the node with its figures, those behind it, and why not the others", () => {
    const { pick, told } = build();
    pick([
      nodeView("busy", { active: 1 }),
      nodeView("idle"),
      nodeView("drained", { availability: "draining", detail: "draining: new fan" }),
      nodeView("bare", { models: ["qwen3:4b"] }),
      nodeView("empty", { models: [] }),
    ]);
    expect(decodeGrpcMessage(told())).toBe(
      "weighted took idle (cost 0: active 0, queued 0, unseen 0, cold 0, slots 1, weight 100)" +
        " before busy (cost 0.01: active 1, queued 0, unseen 0, cold 0, slots 1, weight 100)" +
        "; not drained: draining: new fan; not bare, empty: does not have the model",
    );
  });

  it("has each attempt's decision, and of a wait the latest look alone", () => {
    const { pick, told } = build();
    const nodes = [nodeView("a"), nodeView("b", { active: 1 })];
    pick(nodes);
    for (let look = 0; look < 20; look++) pick([nodeView("a", { availability: "draining", detail: `look ${look}` })]);
    expect(told()).toContain(" | weighted took no node; not a: look 19");
    expect(told()).not.toContain("look 18");
    pick(nodes, ["id-a"]);
    const decisions = told().split(" | ");
    expect(decisions).toHaveLength(2);
    expect(decisions[1]).toMatch(/^weighted took b .*; not a: failed in this call$/);
  });

  it("tells of a second node beside one that hangs", () => {
    const { picker, request, told } = build();
    const free = nodeView("b", { runners: new Map([[request().profile.modelKey, [runnerView()]]]) });
    picker.pickFree(request(["id-a"]), snapshotOf([nodeView("a"), free]));
    expect(told()).toMatch(/^weighted took b .* beside one that hangs, since it can begin at once; not a: /);
  });

  it("has at most 2 KiB, in letters that metadata may have, however large the fleet", () => {
    const { pick, told } = build();
    for (let round = 0; round < 20; round++) {
      pick(Array.from({ length: 500 }, (_, index) => nodeView(`größer-${index}`, { active: index })));
    }
    const text = told();
    expect(text.length).toBeLessThanOrEqual(WHY_BYTES_MAX);
    expect(text.length).toBeGreaterThan(WHY_BYTES_MAX / 3);
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    expect(decodeGrpcMessage(text)).toMatch(/…$/);
  });

  it("is told to callers who ask, on failures too, and to no other", () => {
    const bench = DispatchBench.of("a");
    for (const isWhyWanted of [true, false]) {
      const { caller } = bench.start({ isWhyWanted, profile: callProfile({ model: "nope" }) });
      expect(caller.outcome).toBe("model_not_found");
      const why = "round-robin took no node; not a: does not have the model";
      expect(caller.trailers["drover-why"]).toBe(isWhyWanted ? why : undefined);
    }
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
