import { describe, expect, it } from "vitest";
import { DispatchBench } from "../testing/dispatch-bench.ts";

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
