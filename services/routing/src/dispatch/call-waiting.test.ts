import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import { callProfile } from "../testing/node-views.ts";
import { WAITING_MAX } from "./waiting-room.ts";

const DRAINING = { condition: { isDraining: true } };
const CALL = { maxWaitMs: 1_000 };

async function drainingBench(): Promise<DispatchBench> {
  const bench = DispatchBench.of("a");
  await bench.change("a", DRAINING);
  return bench;
}

describe("a call that no node can take now", () => {
  it("waits, and is placed when the fleet changes", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start(CALL);
    expect(bench.dispatcher.waitingCalls).toBe(1);
    bench.clock.advance(400);
    await bench.change("a", {});
    expect(bench.dispatcher.waitingCalls).toBe(0);
    expect(bench.transport.endpoints).toEqual(["a"]);
    bench.transport.last.done();
    bench.transport.last.ok({ "drover-queue-ms": "10" });
    expect(caller.outcome).toBe("OK");
    expect(caller.trailers).toMatchObject({ "drover-queue-ms": "410" });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("waits at most as long as it said, then is refused with what is wrong and when to come again", async () => {
    const bench = await drainingBench();
    const { caller, body } = bench.start(CALL);
    bench.clock.advance(999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("no_node_available");
    expect(caller.message).toContain("a: draining");
    expect(caller.endings[0]?.error?.retryAfterMs).toBe(1_000);
    expect(caller.trailers).toMatchObject({ "drover-attempts": "0", "drover-queue-ms": "1000" });
    expect(caller.trailers).not.toHaveProperty("drover-node");
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("says at the end what is wrong by then", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start(CALL);
    await bench.change("a", { condition: { isDraining: true, drainReason: "new disk" } });
    bench.clock.advance(1_000);
    expect(caller.message).toContain("a: draining: new disk");
  });

  it("does not begin its wait anew when the fleet changes and still has no place", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start(CALL);
    bench.clock.advance(900);
    await bench.change("a", { condition: { isDraining: true, drainReason: "new disk" } });
    bench.clock.advance(100);
    expect(caller.outcome).toBe("no_node_available");
  });

  it("is refused while it waits when a change makes waiting pointless", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start(CALL);
    await bench.change("a", { load: { queued: 5, queueLimit: 5 } });
    expect(caller.outcome).toBe("queue_full");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is refused at once when it wants no wait", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start({ maxWaitMs: 0 });
    expect(caller.outcome).toBe("no_node_available");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is placed in the order of arrival", async () => {
    const bench = await drainingBench();
    for (let count = 0; count < 5; count++) bench.start({ ...CALL, isProgressWanted: false });
    await bench.change("a", {});
    const sent = bench.transport.attempts.map((attempt) => attempt.request.headers["drover-call"]);
    expect(sent).toEqual(["call-1", "call-2", "call-3", "call-4", "call-5"]);
  });

  it("keeps its place in the order when a change brings it nothing", async () => {
    const bench = await drainingBench();
    for (let count = 0; count < 3; count++) bench.start(CALL);
    await bench.change("a", { condition: { isDraining: true, drainReason: "new disk" } });
    await bench.change("a", {});
    // Changes that follow at once are looked at together.
    bench.clock.advance(20);
    const sent = bench.transport.attempts.map((attempt) => attempt.request.headers["drover-call"]);
    expect(sent).toEqual(["call-1", "call-2", "call-3"]);
  });

  it("is refused when too many wait already", async () => {
    const bench = await drainingBench();
    for (let count = 0; count < WAITING_MAX; count++) bench.start({ ...CALL, isProgressWanted: false });
    const { caller } = bench.start(CALL);
    expect(caller.outcome).toBe("queue_full");
    expect(caller.endings[0]?.error?.retryAfterMs).toBe(1_000);
    expect(bench.dispatcher.waitingCalls).toBe(WAITING_MAX);
    bench.clock.advance(1_000);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("does not wait on after a live node failed: the failure says more", async () => {
    const bench = DispatchBench.of("a", "b");
    await bench.change("b", DRAINING);
    const { caller } = bench.start(CALL);
    bench.transport.last.fails("ollama_busy");
    expect(caller.outcome).toBe("ollama_busy");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("stays ended when the end of another call, in the same change, made its caller leave", async () => {
    const bench = DispatchBench.of("a", "b");
    await bench.change("a", DRAINING);
    await bench.change("b", DRAINING);
    const first = bench.start({ ...CALL, profile: callProfile({ node: "a" }) });
    const second = bench.start(CALL);
    first.caller.onEnd = () => second.call.cancel();
    bench.fake.attach("a", { load: { queued: 5, queueLimit: 5 } });
    await bench.change("b", {});
    expect(first.caller.outcome).toBe("queue_full");
    expect(second.caller.endings).toEqual([]);
    expect(bench.transport.attempts).toEqual([]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("a call while no node is known at all", () => {
  it("waits 5 s, however long it would wait else", () => {
    const bench = new DispatchBench();
    const { caller } = bench.start({ maxWaitMs: 120_000 });
    bench.clock.advance(4_999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("fleet_not_ready");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("waits less when it said so", () => {
    const bench = new DispatchBench();
    const { caller } = bench.start({ maxWaitMs: 300 });
    bench.clock.advance(300);
    expect(caller.outcome).toBe("fleet_not_ready");
  });

  it("waits its whole time once a node is known that may take it", async () => {
    const bench = new DispatchBench();
    const { caller } = bench.start({ maxWaitMs: 20_000 });
    bench.clock.advance(3_000);
    bench.fake.discover("a");
    await bench.change("a", { condition: { isOllamaReachable: false } });
    bench.clock.advance(16_999);
    expect(caller.outcome).toBeUndefined();
    await bench.change("a", {});
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("waits 5 s more when the last node is gone", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start({ maxWaitMs: 120_000 });
    bench.clock.advance(2_000);
    bench.fake.discover("b");
    await Promise.resolve();
    bench.clock.advance(4_999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("fleet_not_ready");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("a dispatcher that is closed", () => {
  it("lets its waiting calls end at their time", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start(CALL);
    bench.dispatcher.close();
    await bench.change("a", {});
    bench.clock.advance(1_000);
    expect(caller.outcome).toBe("no_node_available");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
