import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";

describe("a caller that reads slowly", () => {
  it("pauses the node when it is full and lets it go on when it is drained", () => {
    const bench = DispatchBench.of("a");
    const { call, caller } = bench.start();
    bench.transport.last.chunk();
    expect(bench.transport.last.isPaused).toBe(false);
    caller.isFull = true;
    bench.transport.last.chunk();
    expect(bench.transport.last.isPaused).toBe(true);
    caller.isFull = false;
    call.drained();
    expect(bench.transport.last.isPaused).toBe(false);
  });

  it("pauses the node during progress too", () => {
    const bench = DispatchBench.of("a");
    const { call, caller } = bench.start();
    caller.isFull = true;
    bench.transport.last.progress();
    expect(bench.transport.last.isPaused).toBe(true);
    call.drained();
    expect(bench.transport.last.isPaused).toBe(false);
  });

  it("never pauses the node of a unary call, whose answer is held anyway", () => {
    const bench = DispatchBench.of("a");
    const caller = bench.start({ isUnary: true }).caller;
    caller.isFull = true;
    bench.transport.last.unaryAnswer();
    expect(bench.transport.last.isPaused).toBe(false);
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
  });
});

describe("a caller that stops reading", () => {
  function stalledCall() {
    const bench = DispatchBench.of("a");
    const started = bench.start();
    started.caller.isFull = true;
    bench.transport.last.chunk();
    return { bench, ...started };
  }

  it("ends RESOURCE_EXHAUSTED after 30 s with its buffer full, and its node is told to stop", () => {
    const { bench, caller } = stalledCall();
    bench.clock.advance(29_999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("caller_stalled");
    expect(caller.message).toContain('The caller stopped reading the answer of model "llama3.2:1b" for 30 s');
    expect(bench.transport.last.isCancelled).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("counts from the moment at which its buffer was full, however much comes after it", () => {
    const { bench, caller } = stalledCall();
    for (let count = 0; count < 29; count++) {
      bench.clock.advance(1_000);
      bench.transport.last.chunk();
    }
    expect(bench.clock.pendingCount).toBe(1);
    bench.clock.advance(1_000);
    expect(caller.outcome).toBe("caller_stalled");
  });

  it("begins anew when it has read", () => {
    const { bench, call, caller } = stalledCall();
    bench.clock.advance(29_000);
    call.drained();
    expect(bench.clock.pendingCount).toBe(0);
    bench.transport.last.chunk();
    bench.clock.advance(29_999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("caller_stalled");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("costs no timer while it reads", () => {
    const bench = DispatchBench.of("a");
    bench.start();
    for (let count = 0; count < 100; count++) bench.transport.last.chunk();
    expect(bench.clock.pendingCount).toBe(0);
  });

  it("leaves no timer when its write ends the call", () => {
    const bench = DispatchBench.of("a");
    const { call, caller } = bench.start();
    caller.isFull = true;
    caller.onWrite = () => call.cancel();
    bench.transport.last.chunk();
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("leaves no timer when it cancels, or when the node ends first", () => {
    const first = stalledCall();
    first.call.cancel();
    expect(first.bench.leftovers).toEqual(NOTHING_LEFT);
    const second = stalledCall();
    second.bench.transport.last.breaks();
    expect(second.caller.outcome).toBe("stream_broken");
    expect(second.bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is not blamed on the node", async () => {
    const bench = new DispatchBench({ hasEjection: true });
    bench.attach("a", "b");
    await Promise.resolve();
    for (let count = 0; count < 10; count++) {
      bench.start().caller.isFull = true;
      bench.transport.last.chunk();
      bench.clock.advance(30_000);
    }
    expect([bench.health.report("id-a").score, bench.health.report("id-b").score]).toEqual([1, 1]);
  });
});
