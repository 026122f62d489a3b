import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT, type StartedCall } from "../testing/dispatch-bench.ts";

type Step = (bench: DispatchBench) => StartedCall | Promise<StartedCall>;

const STATES: readonly (readonly [string, Step])[] = [
  [
    "waiting",
    async (bench) => {
      await bench.change("a", { condition: { isDraining: true } });
      await bench.change("b", { condition: { isDraining: true } });
      const started = bench.start({ timeoutMs: 60_000 });
      expect(bench.dispatcher.waitingCalls).toBe(1);
      return started;
    },
  ],
  ["attempting", (bench) => bench.start({ timeoutMs: 60_000 })],
  [
    "attempting, with progress sent",
    (bench) => {
      const started = bench.start();
      bench.transport.last.progress();
      return started;
    },
  ],
  [
    "attempting, with a unary answer held back",
    (bench) => {
      const started = bench.start({ isUnary: true });
      bench.transport.last.unaryAnswer();
      return started;
    },
  ],
  [
    "backing off",
    (bench) => {
      const started = bench.start({ timeoutMs: 60_000 });
      bench.transport.last.fails("ollama_busy");
      expect(bench.leftovers).toMatchObject({ attempts: 0, leases: 0, timers: 3 });
      return started;
    },
  ],
  [
    "attempting again",
    (bench) => {
      const started = bench.start();
      bench.transport.last.breaks();
      expect(bench.transport.attempts.length).toBe(2);
      return started;
    },
  ],
  [
    "committed",
    (bench) => {
      const started = bench.start({ timeoutMs: 60_000 });
      bench.transport.last.chunk();
      return started;
    },
  ],
  [
    "committed and paused",
    (bench) => {
      const started = bench.start();
      started.caller.isFull = true;
      bench.transport.last.chunk();
      expect(bench.transport.last.isPaused).toBe(true);
      return started;
    },
  ],
];

describe("a caller that leaves", () => {
  it.each(STATES)("leaves nothing behind of a call that is %s", async (_state, reach) => {
    const bench = DispatchBench.of("a", "b");
    const { call, caller, body } = await reach(bench);
    const running = bench.transport.attempts.filter((attempt) => attempt.isRunning);
    const writes = caller.written.length;
    call.cancel();
    expect(running.every((attempt) => attempt.isCancelled)).toBe(true);
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
    // Whatever happens later finds nothing to do.
    call.cancel();
    call.drained();
    bench.clock.advance(200_000);
    await bench.change("a", {});
    await bench.change("b", {});
    expect(caller.written.length).toBe(writes);
    expect(caller.endings).toEqual([]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("may leave within a write", () => {
    const bench = DispatchBench.of("a");
    const { call, caller } = bench.start();
    caller.onWrite = () => call.cancel();
    bench.transport.last.chunk();
    expect(bench.transport.last.isCancelled).toBe(true);
    expect(caller.endings).toEqual([]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("may leave within the end of its call", () => {
    const bench = DispatchBench.of("a");
    const { call, caller } = bench.start();
    caller.onEnd = () => call.cancel();
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
