import { createLogger, type EndingKind } from "@drover/platform";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, it } from "vitest";
import { DispatchBench, type DispatchBenchOptions, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import type { FakeNode } from "../testing/fake-fleet.ts";
import { callProfile, MODEL } from "../testing/node-views.ts";
import type { ScriptedAttempt } from "../testing/scripted-transport.ts";

function benchOf(names: readonly string[], options: DispatchBenchOptions = {}): DispatchBench {
  const bench = new DispatchBench(options);
  bench.attach(...names);
  return bench;
}

function attempt(bench: DispatchBench, index: number): ScriptedAttempt {
  const found = bench.transport.attempts[index];
  if (found === undefined) throw new Error(`there is no attempt ${index}`);
  return found;
}

const runner = (load: object): FakeNode => ({
  load: { runners: [{ model: MODEL, state: RunnerState.LOADED, slots: 1, ...load }] },
});

/** A call on node a that has been told to read a short prompt, and after 5 s hangs. */
function hung(bench: DispatchBench, options: Parameters<DispatchBench["start"]>[0] = {}) {
  const started = bench.start(options);
  bench.clock.advance(2_000);
  bench.transport.last.reads(2_000, 100);
  bench.clock.advance(3_000);
  return started;
}

describe("a call whose attempt hangs", () => {
  it("gets a second attempt elsewhere after 5 s; the first token decides, and the other attempt is cancelled", () => {
    const bench = benchOf(["a", "b"]);
    const { caller, body } = bench.start();
    bench.clock.advance(2_000);
    bench.transport.last.reads(2_000, 100);
    bench.clock.advance(2_999);
    expect(bench.transport.endpoints).toEqual(["a"]);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    expect(bench.transport.last.request.headers).toMatchObject({ "drover-attempt": "2" });
    expect([bench.ledger.openTotal, body.isReleased]).toEqual([2, false]);
    bench.transport.last.chunk();
    expect([attempt(bench, 0).isCancelled, bench.ledger.openTotal, body.isReleased]).toEqual([true, 1, true]);
    bench.transport.last.done();
    bench.transport.last.ok();
    expect([caller.outcome, caller.trailers["drover-node"], caller.trailers["drover-attempts"]]).toEqual([
      "OK",
      "b",
      "2",
    ]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("keeps the first node's answer when that comes first after all, and names it", () => {
    const bench = benchOf(["a", "b"]);
    const { caller } = hung(bench);
    attempt(bench, 0).chunk();
    expect(attempt(bench, 1).isCancelled).toBe(true);
    bench.clock.advance(600_000);
    attempt(bench, 0).done();
    attempt(bench, 0).ok();
    expect([caller.outcome, caller.trailers["drover-node"]]).toEqual(["OK", "a"]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it.each([
    ["a short prompt", 100, 5_000],
    ["a prompt that takes 10 s", 10_000, 32_000],
    ["a prompt whose time is not told", 0, 5_000],
  ])("is given time for %s", (_, expectedMs, hangsAfterMs) => {
    const bench = benchOf(["a", "b"]);
    bench.start();
    for (let atMs = 1_000; atMs < hangsAfterMs; atMs += 1_000) {
      bench.clock.advance(1_000);
      bench.transport.last.reads(atMs, expectedMs);
    }
    bench.clock.advance(999);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.attempts.length).toBe(2);
  });

  it("is timed from the slot on, however long it waited before", () => {
    const bench = benchOf(["a", "b"]);
    bench.start();
    bench.clock.advance(2_000);
    bench.transport.last.queues();
    bench.clock.advance(9_000);
    bench.transport.last.reads(0, 100);
    bench.clock.advance(4_999);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.attempts.length).toBe(2);
  });

  it.each(["loads", "queues"] as const)("is waited for as long as its agent says that it %s", (what) => {
    const bench = benchOf(["a", "b"]);
    const { caller } = bench.start({ maxWaitMs: 3_600_000 });
    bench.clock.advance(2_000);
    for (let second = 0; second < 600; second += 10) {
      attempt(bench, 0)[what]();
      bench.clock.advance(10_000);
    }
    expect(bench.transport.attempts.length).toBe(1);
    attempt(bench, 0).done();
    attempt(bench, 0).ok();
    expect(caller.outcome).toBe("OK");
  });

  it("is tried elsewhere after 5 s when its agent never said a word of it, after 15 s when it said no more", () => {
    const bench = benchOf(["a", "b", "c"]);
    bench.start();
    bench.clock.advance(4_999);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    attempt(bench, 1).breaks();
    attempt(bench, 0).loads();
    bench.clock.advance(14_999);
    expect(bench.transport.attempts.length).toBe(2);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b", "c"]);
  });

  it("is given the time that its request needs to arrive", () => {
    const bench = benchOf(["a", "b"]);
    bench.start({ body: { bytes: new Uint8Array(10 * 1024 * 1024), release: () => undefined } });
    bench.clock.advance(14_000);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(2_000);
    expect(bench.transport.attempts.length).toBe(2);
  });

  it("is tried elsewhere within 2 s of its node's agent being silent, but not for a stream that is back at once", () => {
    const bench = benchOf(["a", "b"]);
    bench.start({ maxWaitMs: 3_600_000 });
    bench.clock.advance(500);
    attempt(bench, 0).loads();
    bench.fake.lose("a");
    bench.clock.advance(1_000);
    bench.fake.attach("a");
    bench.clock.advance(5_000);
    expect(bench.transport.attempts.length).toBe(1);
    bench.fake.report("a", { kind: "silent", atMs: 0 });
    bench.clock.advance(2_000);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
  });

  it("never gets a second attempt when it asked for one node", () => {
    const bench = benchOf(["a", "b"]);
    hung(bench, { profile: callProfile({ node: "a" }) });
    bench.clock.advance(100_000);
    expect(bench.transport.endpoints).toEqual(["a"]);
  });

  it.each<[string, FakeNode]>([
    ["has no free slot", runner({ active: 1 })],
    ["has calls waiting", runner({ queued: 1 })],
    ["would have to load the model", { load: { runners: [] } }],
    ["loads the model", runner({ state: RunnerState.LOADING })],
    ["drains", { condition: { isDraining: true } }],
  ])("gets none from a node that %s, and one as soon as the node can begin at once", async (_, state) => {
    const bench = benchOf(["a", "b"]);
    await bench.change("b", state);
    const { caller } = hung(bench);
    bench.clock.advance(7_000);
    attempt(bench, 0).reads(12_000, 100);
    expect(bench.transport.attempts.length).toBe(1);
    await bench.change("b", {});
    bench.clock.advance(1_000);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    expect(caller.outcome).toBeUndefined();
  });

  it("has two attempts at most at once, and four in all", () => {
    const bench = benchOf(["a", "b", "c", "d", "e", "f"]);
    const { caller } = hung(bench);
    for (let round = 0; round < 10; round++) {
      bench.clock.advance(20_000);
      expect(bench.transport.running).toBe(2 - (round >= 3 ? 1 : 0));
      if (round < 3) bench.transport.last.breaks();
    }
    expect(bench.transport.attempts.length).toBe(4);
    expect(caller.outcome).toBeUndefined();
    attempt(bench, 0).breaks("node_unreachable", "Gone.");
    expect([caller.outcome, caller.message]).toEqual(["node_unreachable", expect.stringContaining("attempt 1")]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("goes on with the other attempt when one fails, whichever it is", () => {
    for (const [failing, answering] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const bench = benchOf(["a", "b"]);
      const { caller } = hung(bench);
      attempt(bench, failing).fails("ollama_failed");
      expect(caller.outcome).toBeUndefined();
      attempt(bench, answering).done();
      attempt(bench, answering).ok();
      expect(caller.outcome).toBe("OK");
      expect(bench.leftovers).toEqual(NOTHING_LEFT);
    }
  });

  it("is tried again by the rules of retries when both attempts failed", () => {
    const bench = benchOf(["a", "b", "c"]);
    const { caller } = hung(bench);
    attempt(bench, 1).breaks();
    attempt(bench, 0).breaks();
    expect(bench.transport.endpoints).toEqual(["a", "b", "c"]);
    attempt(bench, 2).fails("ollama_busy");
    bench.clock.advance(2_000);
    expect(bench.transport.attempts.length).toBeGreaterThanOrEqual(4);
    expect(caller.outcome).toBeUndefined();
  });

  it.each<EndingKind>(["request_rejected", "malformed_request"])("ends with %s, which every node would say", (kind) => {
    const bench = benchOf(["a", "b"]);
    const { caller } = hung(bench);
    attempt(bench, 1).fails(kind);
    expect(caller.outcome).toBe(kind);
    expect(attempt(bench, 0).isCancelled).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("ends at its deadline with both attempts, and says how many there were", () => {
    const bench = benchOf(["a", "b"]);
    const { caller } = hung(bench, { timeoutMs: 8_000 });
    bench.clock.advance(3_000);
    expect([caller.outcome, caller.message]).toEqual(["deadline_exceeded", expect.stringContaining("2 attempts")]);
    expect(attempt(bench, 0).isCancelled && attempt(bench, 1).isCancelled).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("stops both attempts when its caller leaves", () => {
    const bench = benchOf(["a", "b"]);
    hung(bench).call.cancel();
    expect(attempt(bench, 0).isCancelled && attempt(bench, 1).isCancelled).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is not judged while its caller does not read, because then nothing is heard of the node", () => {
    const bench = benchOf(["a", "b"]);
    const { call, caller } = bench.start();
    caller.isFull = true;
    bench.transport.last.queues();
    bench.clock.advance(25_000);
    caller.isFull = false;
    call.drained();
    bench.clock.advance(14_000);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1_000);
    expect(bench.transport.attempts.length).toBe(2);
  });

  it("is not told of progress that it does not want, and is tried elsewhere all the same", () => {
    const bench = benchOf(["a", "b"]);
    const { caller } = hung(bench, { isProgressWanted: false });
    expect([bench.transport.attempts.length, caller.written]).toEqual([2, []]);
  });

  it("stands in the log with both nodes, the reason and the time", () => {
    const lines: Record<string, unknown>[] = [];
    const destination = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) };
    hung(benchOf(["a", "b"], { log: createLogger({ name: "test", destination }) }), { id: "call-7" });
    expect(lines).toEqual([
      expect.objectContaining({ call: "call-7", node: "a", secondNode: "b", hang: "slot-quiet", afterMs: 5_000 }),
    ]);
  });
});

describe("an Embed that hangs", () => {
  const unary = { isUnary: true, path: "/drover.inference.v1.InferenceService/Embed" };

  it("is tried elsewhere when its model has been ready and nothing came for 5 s", () => {
    const bench = benchOf(["a", "b"]);
    const { caller } = bench.start(unary);
    bench.clock.advance(4_999);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    attempt(bench, 1).unaryAnswer();
    attempt(bench, 1).ok();
    expect([caller.outcome, attempt(bench, 0).isCancelled]).toEqual(["OK", true]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is waited for while its node loads the model or has a queue", async () => {
    const bench = benchOf(["a", "b"]);
    bench.start(unary);
    await bench.change("a", runner({ state: RunnerState.LOADING }));
    bench.clock.advance(600_000);
    await bench.change("a", { load: { queued: 1 } });
    bench.clock.advance(600_000);
    expect(bench.transport.attempts.length).toBe(1);
    await bench.change("a", {});
    bench.clock.advance(7_000);
    expect(bench.transport.attempts.length).toBe(2);
  });

  it("is given the time that its texts take at the node's own speed", async () => {
    const bench = benchOf(["a", "b"]);
    await bench.change("a", runner({ rates: { prefillTokensPerSecond: 1_000 } }));
    // 40,000 tokens, so 40 s.
    bench.start({ ...unary, body: { bytes: new Uint8Array(160_000), release: () => undefined } });
    bench.clock.advance(121_000);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(3_000);
    expect(bench.transport.attempts.length).toBe(2);
  });
});

describe("the budget of second attempts", () => {
  /** How many of so many calls that hang get one. */
  const seconds = (bench: DispatchBench, calls: number): number => {
    const before = bench.transport.attempts.length;
    for (let count = 0; count < calls; count++) {
      const { call } = bench.start();
      bench.clock.advance(5_000);
      call.cancel();
    }
    return bench.transport.attempts.length - before - calls;
  };

  it("is ten a minute for a quiet router", () => {
    const bench = benchOf(["a", "b"]);
    expect(seconds(bench, 11)).toBe(10);
    bench.clock.advance(60_000);
    expect(seconds(bench, 5)).toBe(5);
  });

  it("is 2 % of the calls of the last minute on top", () => {
    const bench = benchOf(["a", "b"], { hang: { firstWordMs: 10, quietSlotMs: 10 } });
    for (let count = 0; count < 200; count++) bench.start().call.cancel();
    let got = 0;
    for (let count = 0; count < 50; count++) {
      const { call } = bench.start();
      bench.clock.advance(10);
      if (bench.transport.running === 2) got++;
      call.cancel();
    }
    // 10 and 2 % of 250.
    expect(got).toBe(15);
  });

  it("is asked again for as long as the attempt hangs, and not spent where no node is free", async () => {
    const bench = benchOf(["a", "b"], { hang: { budgetReserve: 1 } });
    await bench.change("b", runner({ active: 1 }));
    hung(bench);
    bench.clock.advance(6_000);
    await bench.change("b", {});
    bench.clock.advance(1_000);
    expect(bench.transport.attempts.length).toBe(2);
  });
});

describe("a node whose calls hang", () => {
  const fleetOf = async (...names: readonly string[]): Promise<DispatchBench> => {
    const bench = benchOf(names, { hasEjection: true });
    // Health learns of the fleet in the next turn.
    await Promise.resolve();
    return bench;
  };
  const hangOn = (bench: DispatchBench): ReturnType<typeof hung> => {
    for (;;) {
      const started = bench.start();
      if (bench.transport.last.request.endpoint === "a") {
        bench.clock.advance(5_000);
        return started;
      }
      started.call.cancel();
    }
  };
  const isHidden = (bench: DispatchBench): boolean => bench.health.report("id-a").isEjected;

  it("gets no new call after two in a row, until one of them shows a token", async () => {
    const bench = await fleetOf("a", "b", "c");
    hangOn(bench);
    const first = bench.transport.attempts.findLast(({ request }) => request.endpoint === "a");
    expect(isHidden(bench)).toBe(false);
    hangOn(bench);
    expect(isHidden(bench)).toBe(true);
    const before = bench.transport.attempts.length;
    for (let count = 0; count < 10; count++) bench.start({ maxWaitMs: 0 }).call.cancel();
    const taken = bench.transport.attempts.slice(before).map(({ request }) => request.endpoint);
    expect(new Set(taken)).toEqual(new Set(["b", "c"]));
    first?.chunk();
    expect(isHidden(bench)).toBe(false);
  });

  it("counts calls in a row: a token in between begins anew", async () => {
    const bench = await fleetOf("a", "b", "c");
    hangOn(bench).call.cancel();
    const started = hangOn(bench);
    expect(isHidden(bench)).toBe(true);
    bench.transport.attempts.findLast(({ request }) => request.endpoint === "a")?.chunk();
    started.call.cancel();
    hangOn(bench).call.cancel();
    expect(isHidden(bench)).toBe(false);
  });

  it("is not held to be hung for an agent that is silent: the fleet knows of that", async () => {
    const bench = await fleetOf("a", "b", "c");
    for (let count = 0; count < 3; count++) {
      bench.fake.attach("a");
      const started = bench.start();
      bench.fake.report("a", { kind: "silent", atMs: 0 });
      bench.clock.advance(3_000);
      started.call.cancel();
    }
    expect(isHidden(bench)).toBe(false);
  });

  it("is tried by one call after a while, and hidden for longer when that hangs too", async () => {
    const bench = await fleetOf("a", "b", "c");
    hangOn(bench).call.cancel();
    hangOn(bench).call.cancel();
    bench.clock.advance(60_000);
    const canary = hangOn(bench);
    canary.call.cancel();
    expect(bench.health.hidden({ id: "id-a", slots: 1 }, callProfile().modelKey)).toEqual({
      detail: "its last 2 calls showed nothing for too long, tried again in 120 s",
      retryAfterMs: 120_000,
    });
    bench.clock.advance(120_000);
    const last = hangOn(bench);
    bench.transport.attempts.findLast(({ request }) => request.endpoint === "a")?.chunk();
    last.call.cancel();
    expect(isHidden(bench)).toBe(false);
  });

  it("keeps its calls when half of the fleet is hidden already: a slow answer is better than none", async () => {
    const bench = await fleetOf("a");
    for (let count = 0; count < 4; count++) hangOn(bench).call.cancel();
    expect([isHidden(bench), bench.health.capHolds]).toEqual([false, 3]);
  });
});
