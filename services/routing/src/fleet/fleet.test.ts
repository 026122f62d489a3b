import { SimClock, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { FakeFleet } from "../testing/fake-fleet.ts";
import { PausableClock } from "../testing/pausable-clock.ts";
import { Fleet } from "./fleet.ts";
import { LINKS_AT_ONCE } from "./link-opener.ts";
import { type FleetSnapshot, pendingEndpoints } from "./snapshot.ts";

function endpointsOf({ members }: FleetSnapshot): readonly string[] {
  return members.map((member) => member.endpoint);
}

function sourcesOf({ members }: FleetSnapshot): Record<string, readonly string[]> {
  return Object.fromEntries(members.map((member) => [member.endpoint, member.sources]));
}

const members = (...endpoints: readonly string[]) => endpoints.map((endpoint) => ({ endpoint }));

describe("membership", () => {
  it("follows resets, upserts and removals of a source", () => {
    const { fleet, ...fake } = createFleet();
    fleet.apply("static", { kind: "reset", members: members("a:1", "b:1") });
    expect(endpointsOf(fleet.snapshot)).toEqual(["a:1", "b:1"]);
    fleet.apply("static", { kind: "upsert", member: { endpoint: "c:1" } });
    fleet.apply("static", { kind: "upsert", member: { endpoint: "c:1" } });
    expect(endpointsOf(fleet.snapshot)).toEqual(["a:1", "b:1", "c:1"]);
    fleet.apply("static", { kind: "remove", endpoint: "a:1" });
    fleet.apply("static", { kind: "remove", endpoint: "nobody:1" });
    expect(endpointsOf(fleet.snapshot)).toEqual(["b:1", "c:1"]);
    fleet.apply("static", { kind: "reset", members: members("c:1", "d:1") });
    expect(endpointsOf(fleet.snapshot)).toEqual(["c:1", "d:1"]);
    expect(fake.links()).toBe(2);
  });

  it("keeps an endpoint for as long as one source names it, and one link to it", () => {
    const { fleet, links } = createFleet("static", "consul");
    fleet.apply("static", { kind: "reset", members: members("a:1", "b:1") });
    fleet.apply("consul", { kind: "reset", members: members("b:1", "c:1") });
    expect(sourcesOf(fleet.snapshot)).toEqual({ "a:1": ["static"], "b:1": ["consul", "static"], "c:1": ["consul"] });
    expect(links()).toBe(3);
    fleet.apply("static", { kind: "reset", members: [] });
    expect(sourcesOf(fleet.snapshot)).toEqual({ "b:1": ["consul"], "c:1": ["consul"] });
    fleet.apply("static", { kind: "remove", endpoint: "b:1" });
    expect(sourcesOf(fleet.snapshot)).toEqual({ "b:1": ["consul"], "c:1": ["consul"] });
    expect(links()).toBe(2);
  });

  it("is discovered when every source has answered, be it with nothing", () => {
    const { fleet } = createFleet("static", "consul");
    expect(fleet.snapshot.isDiscovered).toBe(false);
    fleet.apply("static", { kind: "reset", members: members("a:1") });
    expect(fleet.snapshot.isDiscovered).toBe(false);
    fleet.apply("consul", { kind: "reset", members: [] });
    expect(fleet.snapshot.isDiscovered).toBe(true);
  });

  it("takes a long list in parts, and counts as discovered with its reset", () => {
    const { fleet, links } = createFleet();
    fleet.apply("static", { kind: "part", members: members("a:1") });
    fleet.apply("static", { kind: "part", members: members("b:1") });
    expect([endpointsOf(fleet.snapshot), fleet.snapshot.isDiscovered]).toEqual([["a:1", "b:1"], false]);
    fleet.apply("static", { kind: "reset", members: members("a:1", "b:1") });
    expect([endpointsOf(fleet.snapshot), fleet.snapshot.isDiscovered, links()]).toEqual([["a:1", "b:1"], true, 2]);
  });

  it("does not touch the link of an endpoint that stays", () => {
    const fake = new FakeFleet();
    fake.discover("a:1");
    fake.attach("a:1");
    fake.discover("b:1", "a:1");
    expect(fake.fleet.snapshot.byId.get("id-a:1")?.availability).toBe("available");
  });

  it("begins anew with an endpoint that was gone in between", () => {
    const fake = new FakeFleet();
    fake.discover("a:1");
    fake.attach("a:1");
    fake.discover();
    fake.discover("a:1");
    expect(fake.fleet.snapshot).toMatchObject({ nodes: [], members: [{ link: { kind: "connecting" } }] });
  });

  it("says in one line how many endpoints are too many", () => {
    const errors: unknown[] = [];
    const log = { ...silentLogger, error: (facts: object) => errors.push(facts) } as unknown as typeof silentLogger;
    const openLink = () => ({ close: () => undefined });
    const fleet = new Fleet({ clock: new SimClock(), log, openLink, sources: ["static"] });
    const many = Array.from({ length: 10_500 }, (_, index) => `n${index}:1`);
    fleet.apply("static", { kind: "reset", members: members(...many) });
    expect(errors).toEqual([{ source: "static", leftOut: 500, limit: 10_000 }]);
    fleet.close();
  });

  it("holds at most 10,000 endpoints, and connects to a few at a time", () => {
    const { fleet, clock, links } = createFleet();
    const many = Array.from({ length: 10_001 }, (_, index) => `n${index}:1`);
    fleet.apply("static", { kind: "reset", members: members(...many) });
    expect(fleet.snapshot.members.length).toBe(10_000);
    expect(links()).toBe(LINKS_AT_ONCE);
    clock.advance(0);
    expect(links()).toBe(10_000);
    fleet.close();
    expect(clock.pendingCount).toBe(0);
  });

  it("never connects to what left before its turn came", () => {
    const { fleet, clock, links } = createFleet();
    const many = Array.from({ length: LINKS_AT_ONCE + 2 }, (_, index) => `n${index}:1`);
    fleet.apply("static", { kind: "reset", members: members(...many) });
    fleet.apply("static", { kind: "remove", endpoint: many.at(-1) ?? "" });
    clock.advance(0);
    expect(links()).toBe(LINKS_AT_ONCE + 1);
    fleet.close();
  });
});

describe("a decision on who is in the fleet", () => {
  const drained = { kind: "draining", reason: "in maintenance" } as const;

  function watched() {
    const lines: string[] = [];
    const log = {
      ...silentLogger,
      info: (fields: object | string, text?: string) => void lines.push(`${text} ${JSON.stringify(fields)}`),
    };
    const openLink = () => ({ close: () => undefined });
    const fleet = new Fleet({ clock: new SimClock(), log, sources: ["static", "consul"], openLink });
    const events: string[] = [];
    fleet.onMembership(({ kind, source, endpoint, told, reason }) => {
      events.push(`${kind} ${endpoint} ${told.standing.kind} (${source}: ${reason})`);
    });
    return { fleet, events, lines };
  }

  it("is told once, with its source and reason, to the log and to who listens", () => {
    const { fleet, events, lines } = watched();
    const member = { endpoint: "a:1", nodeId: "n", nodeName: "gpu" };
    fleet.apply("consul", { kind: "upsert", member, reason: "Consul lists it" });
    fleet.apply("consul", { kind: "upsert", member: { ...member, standing: drained }, reason: "in maintenance" });
    fleet.apply("consul", { kind: "upsert", member: { ...member, standing: drained }, reason: "again" });
    fleet.apply("consul", { kind: "remove", endpoint: "a:1", reason: "it was drained, and left" });
    fleet.apply("consul", { kind: "remove", endpoint: "a:1", reason: "again" });
    expect(events).toEqual([
      "joined a:1 serving (consul: Consul lists it)",
      "changed a:1 draining (consul: in maintenance)",
      "left a:1 draining (consul: it was drained, and left)",
    ]);
    expect(lines.length).toBe(3);
    expect(lines[1]).toBe(
      'discovery drains a node {"node":"gpu","endpoint":"a:1","source":"consul","reason":"in maintenance","standing":"draining"}',
    );
  });

  it("says who still lists an endpoint that one source gave up", () => {
    const { fleet, events } = watched();
    fleet.apply("static", { kind: "reset", members: members("a:1") });
    fleet.apply("consul", { kind: "reset", members: [{ endpoint: "a:1", standing: drained }] });
    fleet.apply("consul", { kind: "reset", members: [] });
    expect(events).toEqual([
      "joined a:1 serving (static: listed by static)",
      "changed a:1 draining (consul: listed by consul)",
      "changed a:1 serving (consul: consul no longer lists it; static still lists it)",
    ]);
  });

  it("takes a long list in one line", () => {
    const { fleet, events, lines } = watched();
    const many = Array.from({ length: 101 }, (_, index) => `n${index}:1`);
    fleet.apply("consul", { kind: "reset", members: members(...many) });
    expect([events.length, lines]).toEqual([
      101,
      ['a long list of nodes was taken over {"source":"consul","nodes":101}'],
    ]);
  });
});

function createFleet(...sources: readonly string[]) {
  const clock = new SimClock();
  let open = 0;
  const fleet = new Fleet({
    clock,
    log: silentLogger,
    sources: sources.length === 0 ? ["static"] : sources,
    openLink: () => {
      open++;
      return { close: () => open-- };
    },
  });
  return { fleet, clock, links: () => open };
}

describe("reports of a link", () => {
  it("of a link that was closed change nothing, also when its endpoint came back", () => {
    const reports: ((reason: string) => void)[] = [];
    const clock = new SimClock();
    const fleet = new Fleet({
      clock,
      log: silentLogger,
      sources: ["static"],
      openLink: (_endpoint, report) => {
        reports.push((reason) => report({ kind: "lost", reason, atMs: clock.nowMs() }));
        return { close: () => undefined };
      },
    });
    for (const list of [["a:1"], [], ["a:1"]]) fleet.apply("static", { kind: "reset", members: members(...list) });
    reports[0]?.("late");
    expect(fleet.snapshot.members[0]?.link).toMatchObject({ failure: "" });
    reports[1]?.("now");
    expect(fleet.snapshot.members[0]?.link).toMatchObject({ failure: "now" });
  });

  it("that tell nothing new do not wake anybody", async () => {
    const fake = new FakeFleet();
    fake.discover("a:1");
    fake.attach("a:1");
    await Promise.resolve();
    const before = fake.fleet.snapshot;
    let changes = 0;
    fake.fleet.onChange(() => changes++);
    for (let sequence = 0; sequence < 5; sequence++) fake.status("a:1", {});
    await Promise.resolve();
    expect(changes).toBe(0);
    expect(fake.fleet.snapshot).toBe(before);
  });
});

describe("tries that fail", () => {
  async function countChanges(fake: FakeFleet, act: () => void): Promise<number> {
    await Promise.resolve();
    let changes = 0;
    const stop = fake.fleet.onChange(() => changes++);
    act();
    await Promise.resolve();
    stop();
    return changes;
  }

  it("wake nobody while they fail for the same reason: each would make every waiting call look again", async () => {
    const fake = new FakeFleet();
    fake.discover("a:1", "b:1");
    fake.attach("b:1");
    for (const endpoint of ["a:1", "b:1"]) {
      expect(await countChanges(fake, () => fake.lose(endpoint, "refused"))).toBe(1);
      expect(await countChanges(fake, () => fake.lose(endpoint, "refused"))).toBe(0);
      expect(await countChanges(fake, () => fake.lose(endpoint, "no such host"))).toBe(1);
    }
  });

  it("wake everybody once the endpoint is not worth waiting for, also after it had answered without its models", async () => {
    const clock = new SimClock();
    const fake = new FakeFleet(clock);
    fake.discover("a:1");
    await clock.advanceAsync(60_000);
    fake.welcome("a:1");
    fake.lose("a:1");
    expect(await countChanges(fake, () => undefined)).toBe(0);
    const pending: number[] = [];
    fake.fleet.onChange(() => pending.push(pendingEndpoints(fake.fleet.snapshot, clock.nowMs()).length));
    await clock.advanceAsync(4_900);
    expect(pending).toEqual([]);
    await clock.advanceAsync(200);
    expect(pending).toEqual([0]);
    fake.fleet.close();
    expect(clock.pendingCount).toBe(0);
  });
});

describe("listeners", () => {
  it("run once for all that changed in one turn, with the snapshot after it", async () => {
    const fake = new FakeFleet();
    const seen: number[] = [];
    const stop = fake.fleet.onChange(() => seen.push(fake.fleet.snapshot.nodes.length));
    fake.discover("a:1", "b:1");
    fake.attach("a:1");
    fake.attach("b:1");
    expect(seen).toEqual([]);
    await Promise.resolve();
    expect(seen).toEqual([2]);
    stop();
    fake.lose("a:1");
    await Promise.resolve();
    expect(seen).toEqual([2]);
  });

  it("see a snapshot that does not change any more", () => {
    const fake = new FakeFleet();
    fake.discover("a:1");
    fake.attach("a:1");
    const before = fake.fleet.snapshot;
    fake.lose("a:1");
    expect(before.nodes[0]?.availability).toBe("available");
    expect(fake.fleet.snapshot.nodes[0]?.availability).toBe("unreachable");
  });

  it("hear again when an endpoint is not worth waiting for any more", async () => {
    const clock = new SimClock();
    const fake = new FakeFleet(clock);
    fake.discover("a:1");
    await Promise.resolve();
    let changes = 0;
    fake.fleet.onChange(() => changes++);
    await clock.advanceAsync(4_900);
    expect(changes).toBe(0);
    await clock.advanceAsync(200);
    expect(changes).toBe(1);
    fake.fleet.close();
  });
});

describe("silence", () => {
  it("of 3 s takes a node out, and its next word brings it back", async () => {
    const clock = new SimClock();
    const fake = new FakeFleet(clock);
    fake.discover("a:1", "b:1");
    fake.attach("a:1");
    fake.attach("b:1");
    const availability = (id: string) => fake.fleet.snapshot.byId.get(id)?.availability;
    for (let second = 1; second <= 5; second++) {
      await clock.advanceAsync(1_000);
      fake.status("b:1", {});
    }
    expect(availability("id-a:1")).toBe("unreachable");
    expect(fake.fleet.snapshot.byId.get("id-a:1")?.detail).toBe("its agent has been silent for 3 s");
    expect(availability("id-b:1")).toBe("available");
    fake.status("a:1", {});
    expect(availability("id-a:1")).toBe("available");
    fake.fleet.close();
  });

  it("of all at once takes nobody out, until their streams end", async () => {
    const clock = new SimClock();
    const fake = new FakeFleet(clock);
    fake.discover("a:1", "b:1", "c:1");
    for (const endpoint of ["a:1", "b:1", "c:1"]) fake.attach(endpoint);
    const availabilities = () => fake.fleet.snapshot.nodes.map(({ availability }) => availability);
    await clock.advanceAsync(9_000);
    expect(availabilities()).toEqual(["available", "available", "available"]);
    fake.lose("a:1");
    expect(availabilities()).toEqual(["unreachable", "available", "available"]);
    fake.fleet.close();
  });

  it("during a pause of the router's own is not held against agents", async () => {
    const clock = new PausableClock();
    const fake = new FakeFleet(clock);
    fake.discover("a:1");
    fake.attach("a:1");
    await clock.advanceAsync(1_000);
    clock.pause(60_000);
    await clock.advanceAsync(1_000);
    expect(fake.fleet.snapshot.nodes[0]?.availability).toBe("available");
    fake.status("a:1", {});
    await clock.advanceAsync(2_500);
    expect(fake.fleet.snapshot.nodes[0]?.availability).toBe("available");
    fake.fleet.close();
  });
});

describe("a fleet that is closed", () => {
  it("leaves neither link nor timer, tells nobody, and takes no members any more", async () => {
    const { fleet, clock, links } = createFleet();
    let changes = 0;
    fleet.onChange(() => changes++);
    fleet.apply("static", { kind: "reset", members: members("a:1", "b:1") });
    fleet.close();
    expect(links()).toBe(0);
    expect(clock.pendingCount).toBe(0);
    // A discovery source may still have an update on its way.
    fleet.apply("static", { kind: "upsert", member: { endpoint: "c:1" } });
    await Promise.resolve();
    expect(changes).toBe(0);
    expect(links()).toBe(0);
    expect(clock.pendingCount).toBe(0);
  });
});
