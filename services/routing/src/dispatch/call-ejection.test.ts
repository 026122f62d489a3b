import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import { callProfile, MODEL } from "../testing/node-views.ts";

const ELSEWHERE = { inventory: { models: [{ name: "qwen3:4b", capabilities: ["completion"] }], isComplete: true } };
const ON_A = { profile: callProfile({ node: "a" }) };

/** Only a has the model; b counts in the cap, so that a may be ejected. */
async function ejectedBench(): Promise<DispatchBench> {
  const bench = new DispatchBench({ hasEjection: true });
  bench.attach("a", "b");
  await bench.change("b", ELSEWHERE);
  for (let count = 0; count < 5; count++) {
    bench.start(ON_A);
    bench.transport.last.fails("node_protocol_error");
  }
  expect(bench.leftovers).toEqual(NOTHING_LEFT);
  return bench;
}

function answer(bench: DispatchBench): void {
  bench.transport.last.done();
  bench.transport.last.ok();
}

describe("a call whose every node is ejected", () => {
  it("waits, is the canary when the time is over, and those behind it follow its success", async () => {
    const bench = await ejectedBench();
    const made = bench.transport.attempts.length;
    const first = bench.start();
    const second = bench.start();
    expect(bench.dispatcher.waitingCalls).toBe(2);
    bench.clock.advance(59_999);
    expect(bench.transport.attempts.length).toBe(made);
    bench.clock.advance(10);
    expect(bench.transport.attempts.length).toBe(made + 1);
    expect(bench.dispatcher.waitingCalls).toBe(1);
    answer(bench);
    await Promise.resolve();
    bench.clock.advance(20);
    expect(bench.transport.attempts.length).toBe(made + 2);
    answer(bench);
    expect([first.caller.outcome, second.caller.outcome]).toEqual(["OK", "OK"]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is refused when its patience ends, with what is wrong and when to come again", async () => {
    const bench = await ejectedBench();
    const { caller } = bench.start({ maxWaitMs: 10_000 });
    bench.clock.advance(10_000);
    expect(caller.outcome).toBe("no_node_available");
    expect(caller.message).toBe(
      `No node that has model "${MODEL}" takes work now (a: ejected after 5 failures in a row, tried again in 60 s).`,
    );
    expect(caller.endings[0]?.error?.retryAfterMs).toBe(60_000);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("waits on when the canary fails", async () => {
    const bench = await ejectedBench();
    const waiting = bench.start({ maxWaitMs: 500_000 });
    const canary = bench.start({ maxWaitMs: 500_000 });
    bench.clock.advance(60_010);
    const made = bench.transport.attempts.length;
    bench.transport.last.fails("node_protocol_error");
    await Promise.resolve();
    bench.clock.advance(119_000);
    expect([waiting.caller.outcome, canary.caller.outcome].filter((each) => each === undefined).length).toBe(1);
    expect(bench.transport.attempts.length).toBe(made);
    bench.clock.advance(1_010);
    expect(bench.transport.attempts.length).toBe(made + 1);
    answer(bench);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("an ejected node", () => {
  it("gets no calls while another is left", async () => {
    const bench = new DispatchBench({ hasEjection: true });
    bench.attach("a", "b");
    await Promise.resolve();
    for (let count = 0; count < 5; count++) {
      bench.start(ON_A);
      bench.transport.last.breaks();
    }
    const before = bench.transport.attempts.length;
    for (let count = 0; count < 10; count++) {
      bench.start();
      answer(bench);
    }
    expect(new Set(bench.transport.endpoints.slice(before))).toEqual(new Set(["b"]));
  });

  it("keeps its place in the count when its caller leaves in the midst of an answer", async () => {
    const bench = new DispatchBench({ hasEjection: true });
    bench.attach("a", "b");
    await Promise.resolve();
    for (let count = 0; count < 4; count++) {
      bench.start(ON_A);
      bench.transport.last.breaks();
    }
    const left = bench.start(ON_A);
    left.call.cancel();
    expect(bench.health.report("id-a").score).toBeLessThan(0.5);
    const reader = bench.start(ON_A);
    bench.transport.last.chunk();
    reader.call.cancel();
    expect(bench.health.report("id-a").score).toBe(1);
  });
});
