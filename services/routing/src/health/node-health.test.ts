import { ENDINGS, type EndingKind, SimClock, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { type Verdict, verdictOf } from "./health-gate.ts";
import { type FleetNode, NodeHealth, type NodeHealthOptions } from "./node-health.ts";

function build(names: readonly string[], options: Partial<NodeHealthOptions> = {}) {
  const clock = new SimClock();
  const health = new NodeHealth({ clock, log: silentLogger, ...options });
  const fleetOf = (ids: readonly string[], models = ["m", "n"], incarnation = "1"): ReadonlyMap<string, FleetNode> => {
    const known = new Map(models.map((model) => [model, model]));
    return new Map(ids.map((id) => [id, { name: id, incarnation, models: known, isInventoryComplete: true }]));
  };
  health.follow(fleetOf(names));
  const node = (id: string, slots = 1) => ({ id, slots });
  const attempt = (id: string, verdict: Verdict, model = "m", slots = 1) =>
    health.begin(node(id, slots), model)(verdict);
  const eject = (id: string, verdict: Verdict = "node", model = "m") => {
    for (let count = 0; count < 5; count++) attempt(id, verdict, model);
  };
  const isHidden = (id: string, model = "m") => health.isHidden(node(id), model);
  return { clock, health, fleetOf, node, attempt, eject, isHidden };
}

describe("the health of a node", () => {
  it("hides it with all its models after five failures of its own, and lets one call try after 60 s", () => {
    const { clock, health, node, eject, isHidden } = build(["a", "b"]);
    eject("a");
    expect([isHidden("a"), isHidden("a", "n"), isHidden("b")]).toEqual([true, true, false]);
    expect(health.hidden(node("a"), "m")).toEqual({
      detail: "ejected after 5 failures in a row, tried again in 60 s",
      retryAfterMs: 60_000,
    });
    expect(health.nextTryMs()).toBe(60_000);
    clock.advance(60_000);
    expect(isHidden("a")).toBe(false);
    const canary = health.begin(node("a"), "m");
    expect(isHidden("a")).toBe(true);
    expect(health.hidden(node("a"), "m")?.detail).toContain("one call tries it now");
    canary("success");
    expect(isHidden("a")).toBe(false);
    expect(health.size).toBe(0);
  });

  it("counts attempts that ran side by side and failed once, as one lost connection takes them all", () => {
    const { attempt, health, node, isHidden } = build(["a", "b"]);
    for (let time = 0; time < 4; time++) {
      const together = Array.from({ length: 20 }, () => health.begin(node("a", 20), "m"));
      for (const end of together) end("node");
    }
    expect(isHidden("a")).toBe(false);
    attempt("a", "node");
    expect(isHidden("a")).toBe(true);
  });

  it("takes a node back, slowly, when its agent has restarted", () => {
    const { health, node, eject, fleetOf, isHidden, attempt } = build(["a", "b"]);
    eject("a");
    health.follow(fleetOf(["a", "b"]));
    expect(isHidden("a")).toBe(true);
    health.follow(fleetOf(["a", "b"], ["m", "n"], "2"));
    expect(isHidden("a")).toBe(false);
    const first = health.begin(node("a", 4), "m");
    expect(isHidden("a")).toBe(true);
    first("success");
    expect(isHidden("a")).toBe(false);
    attempt("a", "node");
    expect(isHidden("a")).toBe(true);
  });

  it("takes a node whose calls hung back when its agent has restarted, also when none of them runs any more", () => {
    const { health, node, fleetOf, isHidden } = build(["a", "b"]);
    for (let count = 0; count < 2; count++) {
      const end = health.begin(node("a"), "m");
      health.shows(node("a"), "hung");
      end("neutral");
    }
    expect([isHidden("a"), health.size]).toEqual([true, 0]);
    health.follow(fleetOf(["a", "b"], ["m", "n"], "2"));
    expect(isHidden("a")).toBe(false);
  });

  it("keeps what a model did on a node over a restart of the agent", () => {
    const { health, eject, fleetOf, isHidden } = build(["a", "b"]);
    eject("a", "node-and-model");
    health.follow(fleetOf(["a", "b"], ["m", "n"], "2"));
    expect([isHidden("a"), isHidden("a", "n")]).toEqual([true, false]);
  });

  it("hides one model on one node where the failures are those of the model there", () => {
    const { eject, isHidden, health, node } = build(["a", "b"]);
    eject("a", "node-and-model");
    expect([isHidden("a"), isHidden("a", "n"), isHidden("b")]).toEqual([true, false, false]);
    expect(health.hidden(node("a"), "m")?.detail).toContain("with this model");
    expect(health.report("a")).toMatchObject({ isEjected: false });
  });

  it.each<Verdict>(["neutral", "turned-away"])("neither counts nor forgets for %s", (verdict) => {
    const { attempt, isHidden } = build(["a", "b"]);
    for (let count = 0; count < 20; count++) attempt("a", verdict);
    expect(isHidden("a")).toBe(false);
    for (let count = 0; count < 4; count++) attempt("a", "node");
    attempt("a", verdict);
    attempt("a", "node");
    expect(isHidden("a")).toBe(true);
  });

  it("gives the canary's place back when its caller left", () => {
    const { clock, health, node, eject, isHidden } = build(["a", "b"]);
    eject("a");
    clock.advance(60_000);
    health.begin(node("a"), "m")("neutral");
    expect(isHidden("a")).toBe(false);
  });

  it("does not let attempts that began before the ejection decide about the return", () => {
    const { clock, health, node, eject, isHidden } = build(["a", "b"]);
    const old = [1, 2, 3].map(() => health.begin(node("a", 4), "m"));
    eject("a");
    old[0]?.("node");
    expect(health.nextTryMs()).toBe(60_000);
    clock.advance(60_000);
    const canary = health.begin(node("a", 4), "m");
    old[1]?.("success");
    expect(isHidden("a")).toBe(true);
    canary("success");
    // One at a time now; the old one that still runs does not count.
    expect(isHidden("a")).toBe(false);
    const first = health.begin(node("a", 4), "m");
    expect(isHidden("a")).toBe(true);
    old[2]?.("node");
    expect(health.report("a").isEjected).toBe(false);
    first("success");
    expect(isHidden("a")).toBe(false);
  });

  it("shows its score from 1 down to 0, and half on the way back", () => {
    const { clock, health, node, attempt, eject } = build(["a", "b"]);
    expect(health.report("a").score).toBe(1);
    attempt("a", "node");
    expect(health.report("a").score).toBeCloseTo(5 / 6);
    attempt("a", "success");
    eject("a");
    expect(health.report("a")).toMatchObject({ isEjected: true, score: 0 });
    clock.advance(60_000);
    health.begin(node("a", 4), "m")("success");
    expect(health.report("a")).toEqual({
      isEjected: false,
      score: 0.5,
      detail: "back after failures, takes 1 at once so far",
    });
  });

  it("tells those who listen when a node is ejected or hidden, the first one too", async () => {
    const { clock, health, node, eject } = build(["a", "b"]);
    let news = 0;
    health.onChange(() => news++);
    eject("a");
    await clock.advanceAsync(0);
    expect(news).toBe(1);
    const hanging = build(["a", "b"]);
    let hidden = 0;
    hanging.health.onChange(() => hidden++);
    for (let count = 0; count < 2; count++) hanging.health.shows(node("a"), "hung");
    await hanging.clock.advanceAsync(0);
    expect([hanging.health.report("a").isEjected, hidden]).toEqual([true, 1]);
  });

  it("tells those who listen when a hidden node may be visible again", async () => {
    const { clock, health, node, eject } = build(["a", "b"]);
    let news = 0;
    const stop = health.onChange(() => news++);
    eject("a");
    clock.advance(60_000);
    const canary = health.begin(node("a"), "m");
    canary("success");
    expect(news).toBe(0);
    await Promise.resolve();
    expect(news).toBe(1);
    stop();
    eject("b");
    await Promise.resolve();
    expect(news).toBe(1);
  });
});

describe("the cap", () => {
  it.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
  ])("of %i nodes ejects %i at most", (all, most) => {
    const names = Array.from({ length: all }, (_, index) => `n${index}`);
    const { health, eject, isHidden } = build(names);
    for (const name of names) eject(name);
    expect(names.filter((name) => isHidden(name)).length).toBe(most);
    expect(health.capHolds).toBe(all - most);
  });

  it("counts for a model the nodes that have it, those ejected as a whole included", () => {
    const { eject, isHidden, health } = build(["a", "b"]);
    eject("a");
    eject("b", "node-and-model");
    expect(isHidden("b")).toBe(false);
    expect(health.capHolds).toBe(1);
  });

  it("ejects nobody before the fleet is known", () => {
    const { health, fleetOf, eject, isHidden } = build(["a", "b"]);
    health.follow(fleetOf([]));
    eject("a");
    expect(isHidden("a")).toBe(false);
  });
});

describe("what is remembered", () => {
  it("is forgotten with a node that left, and with a model that is deleted", () => {
    const { health, fleetOf, eject, isHidden } = build(["a", "b"]);
    eject("a");
    eject("b", "node-and-model", "n");
    health.follow(fleetOf(["a", "b"], ["m"]));
    expect([isHidden("a"), isHidden("b", "n")]).toEqual([true, false]);
    health.follow(fleetOf(["b"]));
    expect(isHidden("a")).toBe(false);
    expect(health.nextTryMs()).toBeUndefined();
    expect(health.failureLoad("a")).toBe(0);
  });

  it("is kept of a model while the node's list is not complete", () => {
    const { health, eject, isHidden } = build(["a", "b"]);
    eject("b", "node-and-model", "n");
    health.follow(new Map([["b", { name: "b", incarnation: "1", models: new Map(), isInventoryComplete: false }]]));
    expect(isHidden("b", "n")).toBe(true);
  });

  it("is nothing after calls that ended well, however many nodes and models there were", () => {
    const { health, attempt } = build(["a", "b"]);
    for (let count = 0; count < 2_000; count++) attempt(`x${count % 700}`, "success", `m${count}`);
    expect(health.size).toBe(0);
  });

  it("is of failures that still count as load 32 for each node, and 10 s of them", () => {
    const { clock, health, attempt } = build(["a"]);
    attempt("a", "turned-away");
    clock.advance(5_000);
    for (let count = 0; count < 100; count++) attempt("a", "turned-away");
    expect(health.failureLoad("a")).toBe(32);
    clock.advance(9_999);
    expect(health.failureLoad("a")).toBe(32);
    clock.advance(1);
    expect(health.failureLoad("a")).toBe(0);
  });
});

describe("the verdict on a node", () => {
  it.each(Object.keys(ENDINGS) as EndingKind[])("follows the table of endings for %s", (kind) => {
    const { blame, elsewhere } = ENDINGS[kind];
    const away = elsewhere === "never" || elsewhere === "suited" ? "neutral" : "turned-away";
    expect(verdictOf(kind)).toBe(blame === "nobody" ? away : blame);
  });
});
