import type { MessageInitShape } from "@bufbuild/protobuf";
import { DroverError } from "@drover/platform";
import type { WatchFleetResponseSchema } from "@drover/proto/drover/router/v1/router_pb";
import { describe, expect, it } from "vitest";
import { playFleet } from "../testing/played-fleet.ts";
import { FleetFeed, WATCHERS_MAX } from "./fleet-feed.ts";
import { PENDING_MAX } from "./fleet-watcher.ts";

type Told = MessageInitShape<typeof WatchFleetResponseSchema>;

function build() {
  const played = playFleet();
  const { clock, fleet, health, facts } = played;
  const stop = new AbortController();
  const feed = new FleetFeed({ clock, fleet, health, facts, stopSignal: stop.signal });
  fleet.onChange(() => health.follow(fleet.snapshot.byId));
  const join = (endpoint: string, id: string, inventory: object = {}): void => {
    played.attach(endpoint, id);
    played.status(endpoint, played.whole);
    played.status(endpoint, inventory);
  };
  const caller = new AbortController();
  const watch = () => feed.watch(caller.signal);
  return { ...played, feed, stop, caller, join, watch };
}

type Watching = AsyncGenerator<Told>;

/** Reads on whatever there is to read within `ms`. */
async function read(watching: Watching, { clock }: ReturnType<typeof build>, ms = 200): Promise<string[]> {
  const told: string[] = [];
  let isOver = false;
  const reading = (async () => {
    while (!isOver) {
      const { value, done } = await watching.next();
      if (done === true) return;
      told.push(inWords(value));
    }
  })().catch((error: unknown) => void told.push(error instanceof DroverError ? error.kind : String(error)));
  await clock.advanceAsync(ms);
  isOver = true;
  void reading;
  return told;
}

function inWords({ event }: Told): string {
  switch (event?.case) {
    case "snapshot": {
      const names = (event.value.nodes ?? []).map((node) => node.identity?.name ?? node.endpoint);
      return `${event.value.continues === true ? "and " : ""}snapshot of ${names.join(", ")}`;
    }
    case "nodeChanged":
      return `${event.value.node?.endpoint}: ${event.value.reason}`;
    case "nodeRemoved":
      return `${event.value.endpoint} (${event.value.id}) removed: ${event.value.reason}`;
    case "nodeLoadChanged":
      return `${event.value.endpoint} load: ${event.value.load?.active} active, ${event.value.ownAttempts} own`;
    default:
      return "nothing";
  }
}

/** Keeps reading, so that nothing waits for a reader. */
function follow(watching: Watching): string[] {
  const told: string[] = [];
  void (async () => {
    for await (const message of watching) told.push(inWords(message));
    told.push("ended");
  })().catch((error: unknown) => void told.push(error instanceof DroverError ? error.kind : String(error)));
  return told;
}

describe("a watcher of the fleet", () => {
  it("gets the fleet as it is, then nothing until something changes", async () => {
    const bench = build();
    bench.members("a:1", "b:1");
    bench.join("a:1", "one");
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    expect(told).toEqual(["snapshot of one, b:1"]);
    bench.status("a:1");
    await bench.clock.advanceAsync(1_000);
    expect(told).toHaveLength(1);
  });

  it("is told who joins, attaches and leaves, from which source and why", async () => {
    const bench = build();
    bench.members("a:1");
    bench.join("a:1", "one");
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    bench.members("a:1", "b:1");
    await bench.clock.advanceAsync(0);
    bench.attach("b:1", "two");
    await bench.clock.advanceAsync(100);
    bench.status("b:1", bench.whole);
    await bench.clock.advanceAsync(100);
    bench.members("b:1");
    await bench.clock.advanceAsync(100);
    expect(told.slice(1)).toEqual([
      "b:1: joined: listed by static",
      "b:1: attached; its agent has not told its status yet",
      "b:1: takes work",
      "a:1 (one) removed: left: static no longer lists it",
    ]);
  });

  it("is told at once why a node takes no work, and that it takes work again", async () => {
    const bench = build();
    bench.members("a:1");
    bench.join("a:1", "one");
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    bench.status("a:1", { condition: { isOllamaReachable: true, isDraining: true, drainReason: "new fan" } });
    await bench.clock.advanceAsync(0);
    bench.status("a:1", { condition: { isOllamaReachable: true } });
    await bench.clock.advanceAsync(20);
    bench.lose("a:1", "the connection to its agent was lost");
    await bench.clock.advanceAsync(20);
    expect(told.slice(1)).toEqual([
      "a:1: draining: new fan",
      "a:1: takes work",
      "a:1: the connection to its agent was lost",
    ]);
  });

  it("is told of ejection and return", async () => {
    const bench = build();
    bench.members("a:1", "b:1");
    bench.join("a:1", "one");
    bench.join("b:1", "two");
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    for (let count = 0; count < 5; count++) {
      bench.clock.advance(1_500);
      for (const endpoint of ["a:1", "b:1"]) bench.status(endpoint);
      bench.health.begin({ id: "one", slots: 1 }, "m")("node");
    }
    await bench.clock.advanceAsync(20);
    expect(told.slice(1).filter((each) => !each.includes("load"))).toEqual([
      expect.stringMatching(/^a:1: ejected after 5 failures in a row, tried again in \d+ s$/),
    ]);
    await bench.clock.advanceAsync(61_000);
    bench.health.begin({ id: "one", slots: 1 }, "m")("success");
    await bench.clock.advanceAsync(20);
    expect(told.at(-1)).toBe("a:1: back from ejection");
  });

  it("is told which models are new and which are gone", async () => {
    const bench = build();
    bench.members("a:1");
    const inventory = (...names: string[]) => ({
      inventory: { isComplete: true, models: names.map((name) => ({ name })) },
    });
    bench.join("a:1", "one", inventory("m:1"));
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    bench.status("a:1", inventory("m:1", "qwen3:4b"));
    await bench.clock.advanceAsync(0);
    bench.status("a:1", inventory("qwen3:4b"));
    await bench.clock.advanceAsync(20);
    expect(told.slice(1)).toEqual(["a:1: has qwen3:4b now", "a:1: no longer has m:1"]);
  });

  it("is told of load ten times a second at most, and the latest then", async () => {
    const bench = build();
    bench.members("a:1");
    bench.join("a:1", "one");
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(1_000);
    for (let step = 1; step <= 100; step++) {
      bench.status("a:1", { load: { active: step } });
      await bench.clock.advanceAsync(10);
    }
    await bench.clock.advanceAsync(100);
    const loads = told.slice(1);
    expect(loads.length).toBeGreaterThanOrEqual(9);
    expect(loads.length).toBeLessThanOrEqual(11);
    expect(loads.at(-1)).toBe("a:1 load: 100 active, 0 own");
  });

  it("that reads slowly is told the latest of each node once", async () => {
    const bench = build();
    bench.members("a:1", "b:1");
    bench.join("a:1", "one");
    bench.join("b:1", "two");
    const watching = bench.watch();
    expect(inWords((await watching.next()).value)).toBe("snapshot of one, two");
    for (let step = 1; step <= 50; step++) {
      bench.status("a:1", { load: { active: step } });
      bench.status("b:1");
      await bench.clock.advanceAsync(200);
    }
    bench.members("b:1");
    await bench.clock.advanceAsync(200);
    const told = await read(watching, bench);
    expect(told).toEqual(["a:1 (one) removed: left: static no longer lists it"]);
  });

  it("that reads so slowly that too much has changed gets a new snapshot, and holds no more than that until then", async () => {
    const bench = build();
    const watching = bench.watch();
    await watching.next();
    const endpoints = (round: number) => Array.from({ length: 1_500 }, (_, index) => `${round}-${index}:1`);
    for (let round = 0; round < 4; round++) {
      bench.members(...endpoints(round));
      await bench.clock.advanceAsync(200);
      for (const { size } of bench.feed.watchers) expect(size).toBeLessThanOrEqual(PENDING_MAX);
    }
    const { value } = await watching.next();
    expect(inWords(value)).toMatch(/^snapshot of 3-0:1, /);
    expect(await read(watching, bench)).toEqual([]);
  });

  it("ends with UNAVAILABLE when the router stops, and is not taken then", async () => {
    const bench = build();
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(0);
    bench.stop.abort();
    await bench.clock.advanceAsync(0);
    expect(told).toEqual(["snapshot of ", "router_stopping"]);
    expect(new DroverError("router_stopping", "").ending.code).toBe(14);
    await expect(bench.watch().next()).rejects.toMatchObject({ kind: "router_stopping" });
  });

  it("leaves nothing behind when it goes", async () => {
    const bench = build();
    const told = follow(bench.watch());
    await bench.clock.advanceAsync(0);
    bench.status("a:1", {});
    bench.caller.abort();
    await bench.clock.advanceAsync(0);
    expect(told.at(-1)).toBe("ended");
    expect(bench.feed.watchers.size).toBe(0);
    const { pendingCount } = bench.clock;
    bench.members("a:1");
    await bench.clock.advanceAsync(0);
    expect(bench.clock.pendingCount).toBeLessThanOrEqual(pendingCount + 1);
  });

  it("is one of 64 at most", async () => {
    const bench = build();
    for (let count = 0; count < WATCHERS_MAX; count++) await bench.watch().next();
    await expect(bench.watch().next()).rejects.toMatchObject({ kind: "overloaded" });
    expect(bench.feed.watchers.size).toBe(WATCHERS_MAX);
  });

  it("gets a long snapshot in several messages", async () => {
    const bench = build();
    const models = Array.from({ length: 1_500 }, (_, index) => ({ name: `m:${index}` }));
    bench.members("a:1", "b:1", "c:1", "d:1");
    for (const name of ["a", "b", "c", "d"]) bench.join(`${name}:1`, name, { inventory: { isComplete: true, models } });
    const told = await read(bench.watch(), bench);
    expect(told).toEqual(["snapshot of a, b", "and snapshot of c, d"]);
  });
});
