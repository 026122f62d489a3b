import { SimClock } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { Member } from "../discovery/membership.ts";
import { FakeFleet } from "../testing/fake-fleet.ts";
import { keyOf, MODEL, runnerView } from "../testing/node-views.ts";
import type { NodeView } from "./node-view.ts";
import { pendingEndpoints } from "./snapshot.ts";

function only(fake: FakeFleet): NodeView {
  const { nodes } = fake.fleet.snapshot;
  const [node] = nodes;
  if (node === undefined || nodes.length > 1) throw new Error(`there are ${nodes.length} nodes`);
  return node;
}

function fleetOf(...endpoints: readonly string[]): FakeFleet {
  const fake = new FakeFleet();
  fake.discover(...endpoints);
  return fake;
}

describe("a node in the snapshot", () => {
  it("is what its agent told", () => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", {
      name: "anna",
      incarnation: "incarnation-a:1",
      identity: { labels: { zone: "eu" }, baseWeight: 300 },
      load: {
        runners: [{ model: MODEL, state: 2, slots: 4, active: 3, queued: 2, contextLength: 8_192 }],
        slotsPerRunner: 4,
        active: 3,
        queued: 2,
        queueLimit: 50,
      },
    });
    fake.status("a:1", { ackedSend: 7n });
    expect(only(fake)).toEqual({
      id: "id-a:1",
      name: "anna",
      incarnation: "incarnation-a:1",
      endpoint: "a:1",
      isNameShared: false,
      availability: "available",
      detail: "",
      isSuspect: false,
      labels: { zone: "eu" },
      baseWeight: 300,
      routerSecret: "secret-1",
      ackedSend: 7,
      models: new Map([
        [
          keyOf(MODEL),
          { name: MODEL, digest: "", sizeBytes: 0, capabilities: new Set(["completion"]), contextLength: 0 },
        ],
      ]),
      isInventoryComplete: true,
      runners: new Map([[keyOf(MODEL), [runnerView({ slots: 4, active: 3, queued: 2, contextLength: 8_192 })]]]),
      loadedModels: new Set([keyOf(MODEL)]),
      slots: 4,
      active: 3,
      queued: 2,
      queueLimit: 50,
    });
  });

  it.each([
    [{ baseWeight: 0 }, 1],
    [{ baseWeight: -5 }, 1],
    [{ baseWeight: 1_000_000 }, 65_535],
  ])("has a weight that can be divided by: %j is %i", (identity, baseWeight) => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", { identity });
    expect(only(fake).baseWeight).toBe(baseWeight);
  });

  it("has at least one slot", () => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", { load: { slotsPerRunner: 0 } });
    expect(only(fake).slots).toBe(1);
  });

  it("does not exist before it said who it is", () => {
    expect(fleetOf("a:1").fleet.snapshot).toMatchObject({ nodes: [], members: [{ endpoint: "a:1" }] });
  });

  it("connects until all of its parts were told", () => {
    const fake = fleetOf("a:1");
    fake.welcome("a:1");
    expect(only(fake).availability).toBe("connecting");
    fake.status("a:1", { condition: { isOllamaReachable: true } });
    expect(only(fake).availability).toBe("connecting");
    fake.status("a:1", { load: {} });
    expect(only(fake)).toMatchObject({ availability: "connecting", isInventoryComplete: false });
    fake.status("a:1", { inventory: { isComplete: true } });
    expect(only(fake).availability).toBe("available");
  });

  it.each([
    [{ isDraining: true, drainReason: "new disk", isOllamaReachable: true }, "draining", "draining: new disk"],
    [{ isDraining: true }, "draining", "draining"],
    [
      { isOllamaReachable: false },
      "ollama-unreachable",
      "its Ollama does not answer: is `ollama serve` running there?",
    ],
  ])("with the condition %j takes no work", (condition, availability, detail) => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", { condition });
    expect(only(fake)).toMatchObject({ availability, detail });
  });

  it("that is lost keeps its models, but neither secret nor acknowledgements", () => {
    const fake = fleetOf("a:1");
    fake.attach("a:1");
    fake.status("a:1", { ackedSend: 7n });
    fake.lose("a:1", "gone");
    expect(only(fake)).toMatchObject({ availability: "unreachable", detail: "gone", routerSecret: "", ackedSend: 0 });
    expect(only(fake).models.size).toBe(1);
  });
});

describe("endpoints that tell the same id", () => {
  it("are one node, for which the first that is attached speaks", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { id: "same", incarnation: "one" });
    fake.attach("b:1", { id: "same", incarnation: "one" });
    expect(only(fake)).toMatchObject({ id: "same", endpoint: "a:1", availability: "available", isNameShared: false });
    fake.lose("a:1");
    expect(only(fake)).toMatchObject({ endpoint: "b:1", availability: "available" });
    fake.lose("b:1");
    expect(only(fake).availability).toBe("unreachable");
  });

  it("are spoken for by one that talks, before one that fell silent", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { id: "same", incarnation: "one" });
    fake.attach("b:1", { id: "same", incarnation: "one" });
    fake.report("a:1", { kind: "silent", atMs: 0 });
    expect(only(fake)).toMatchObject({ endpoint: "b:1", availability: "available" });
  });

  it("with two live processes are a conflict that takes no work and says what to do", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { id: "same", incarnation: "one" });
    fake.attach("b:1", { id: "same", incarnation: "two" });
    expect(only(fake)).toMatchObject({
      availability: "conflicting",
      detail: "two running agents have the id same: give one of them its own --state-dir",
    });
    fake.lose("b:1");
    expect(only(fake)).toMatchObject({ endpoint: "a:1", availability: "available" });
  });

  it("are no conflict when one of the processes fell silent: it may be the one that was replaced", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { id: "same", incarnation: "one" });
    fake.attach("b:1", { id: "same", incarnation: "two" });
    fake.report("a:1", { kind: "silent", atMs: 0 });
    expect(only(fake)).toMatchObject({ endpoint: "b:1", availability: "available" });
  });
});

describe("names that two nodes use", () => {
  it("are marked on both, until one of them changes or goes", () => {
    const fake = fleetOf("a:1", "b:1", "c:1");
    fake.attach("a:1", { name: "twin" });
    fake.attach("b:1", { name: "twin" });
    fake.attach("c:1", { name: "other" });
    const shared = () => fake.fleet.snapshot.nodes.map((node) => node.isNameShared);
    expect(shared()).toEqual([true, true, false]);
    fake.discover("a:1", "c:1");
    expect(shared()).toEqual([false, false]);
  });

  it("stay marked while one of the nodes is away: it may come back", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { name: "twin" });
    fake.attach("b:1", { name: "twin" });
    fake.lose("b:1");
    expect(fake.fleet.snapshot.nodes.map((node) => node.isNameShared)).toEqual([true, true]);
  });
});

describe("the order of nodes", () => {
  it("does not depend on the order in which they came", () => {
    const [one, two] = [fleetOf("a:1", "b:1", "c:1"), fleetOf("c:1", "b:1", "a:1")];
    for (const endpoint of ["a:1", "b:1", "c:1"]) one.attach(endpoint);
    for (const endpoint of ["c:1", "a:1", "b:1"]) two.attach(endpoint);
    const ids = (fake: FakeFleet) => fake.fleet.snapshot.nodes.map((node) => node.id);
    expect(ids(one)).toEqual(ids(two));
    expect([...one.fleet.snapshot.byId.keys()]).toEqual(ids(one));
  });
});

describe("an endpoint whose models are worth waiting for", () => {
  function pendingAt(fake: FakeFleet, nowMs: number): readonly string[] {
    return pendingEndpoints(fake.fleet.snapshot, nowMs);
  }

  it("is one that was discovered less than 5 s ago and has not answered", () => {
    const clock = new SimClock(1_000);
    const fake = new FakeFleet(clock);
    fake.discover("a:1");
    fake.lose("a:1", "refused");
    expect(pendingAt(fake, 5_999)).toEqual(["a:1"]);
    expect(pendingAt(fake, 6_000)).toEqual([]);
  });

  it("is one that answers and has not told its models, however long that takes", () => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", { inventory: { isComplete: false } });
    expect(pendingAt(fake, 60_000)).toEqual(["a:1"]);
    fake.attach("a:1");
    expect(pendingAt(fake, 60_000)).toEqual([]);
  });

  it("is not one whose Ollama is away, since its agent cannot know", () => {
    const fake = fleetOf("a:1");
    fake.attach("a:1", { condition: { isOllamaReachable: false }, inventory: { isComplete: false } });
    expect(pendingAt(fake, 0)).toEqual([]);
  });

  it("is one that was lost less than 5 s ago before it told them", () => {
    const fake = fleetOf("a:1", "b:1");
    fake.attach("a:1", { inventory: { isComplete: false } });
    fake.attach("b:1");
    fake.lose("a:1");
    fake.lose("b:1");
    expect(pendingAt(fake, 4_999)).toEqual(["a:1"]);
    expect(pendingAt(fake, 5_000)).toEqual([]);
  });
});

describe("what discovery tells of a node", () => {
  function fleetWith(...members: readonly Member[]): FakeFleet {
    const fake = new FakeFleet(new SimClock(), ["static", "consul"]);
    fake.fleet.apply("consul", { kind: "reset", members });
    return fake;
  }

  it("drains it, takes it down and weighs it", () => {
    const reason = "in maintenance in Consul: new driver";
    const fake = fleetWith({ endpoint: "a:1", baseWeight: 300, standing: { kind: "draining", reason } });
    fake.attach("a:1");
    expect(only(fake)).toMatchObject({ availability: "draining", detail: reason, baseWeight: 300 });
    fake.fleet.apply("consul", { kind: "upsert", member: { endpoint: "a:1", standing: { kind: "down", reason } } });
    expect(only(fake)).toMatchObject({ availability: "unreachable", detail: reason, baseWeight: 100 });
    fake.fleet.apply("consul", { kind: "upsert", member: { endpoint: "a:1" } });
    expect(only(fake)).toMatchObject({ availability: "available", detail: "" });
  });

  it("makes it suspect, which leaves it available, and says why", () => {
    const fake = fleetWith({ endpoint: "a:1", standing: { kind: "suspect", reason: "Consul no longer lists it" } });
    fake.attach("a:1");
    expect(only(fake)).toMatchObject({
      availability: "available",
      isSuspect: true,
      detail: "Consul no longer lists it",
    });
  });

  it("holds for a node that another source names at another endpoint, though a guess does not", () => {
    const standing = { kind: "draining", reason: "in maintenance" } as const;
    const fake = fleetWith({ endpoint: "10.0.0.1:1", standing });
    fake.fleet.apply("static", { kind: "reset", members: [{ endpoint: "gpu:1" }] });
    fake.attach("gpu:1", { id: "one", incarnation: "same" });
    fake.attach("10.0.0.1:1", { id: "one", incarnation: "same" });
    expect(only(fake)).toMatchObject({ availability: "draining", detail: "in maintenance" });
    const guess = { kind: "suspect", reason: "gone" } as const;
    fake.fleet.apply("consul", { kind: "upsert", member: { endpoint: "10.0.0.1:1", standing: guess } });
    expect(only(fake)).toMatchObject({ availability: "available", isSuspect: false, detail: "" });
  });

  it("belongs to a node by the id in Consul, where its endpoint there does not answer us", () => {
    const standing = { kind: "draining", reason: "in maintenance" } as const;
    const fake = fleetWith({ endpoint: "172.17.0.2:1", nodeId: "one", standing });
    fake.fleet.apply("static", { kind: "reset", members: [{ endpoint: "gpu:1" }] });
    fake.attach("gpu:1", { id: "one", name: "gpu" });
    expect(only(fake)).toMatchObject({ availability: "draining", endpoint: "gpu:1", name: "gpu", isNameShared: false });
  });

  it("does not name a node whose agent says another id", () => {
    const fake = fleetWith({ endpoint: "a:1", nodeId: "old", standing: { kind: "serving" } });
    fake.attach("a:1", { id: "new" });
    expect(only(fake).id).toBe("new");
  });
});
