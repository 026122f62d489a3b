import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";

const DRAINING = { condition: { isDraining: true } };

describe("when the router stops", () => {
  it("a call that waits for a node is told at once, and that it may be tried elsewhere", async () => {
    const bench = DispatchBench.of("a");
    await bench.change("a", DRAINING);
    const { caller, body } = bench.start();
    bench.clock.advance(700);
    bench.dispatcher.stop();
    expect(caller.outcome).toBe("router_stopping");
    expect(caller.message).toContain("This router stops");
    expect(caller.trailers).toMatchObject({ "drover-attempts": "0", "drover-queue-ms": "700" });
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("a call between two attempts is told at once", () => {
    const bench = DispatchBench.of("a", "b");
    const { caller } = bench.start();
    bench.transport.last.fails("node_protocol_error");
    expect(caller.outcome).toBeUndefined();
    bench.dispatcher.stop();
    expect(caller.outcome).toBe("router_stopping");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("a new call is told at once, although a node is free", () => {
    const bench = DispatchBench.of("a");
    bench.dispatcher.stop();
    const { caller } = bench.start();
    expect(caller.outcome).toBe("router_stopping");
    expect(bench.transport.attempts).toHaveLength(0);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("an attempt that runs goes on to its end", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start();
    bench.dispatcher.stop();
    bench.transport.last.chunk();
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("an attempt that fails is placed on a free node, but does not wait for one", async () => {
    const bench = DispatchBench.of("a", "b");
    const { caller } = bench.start();
    bench.dispatcher.stop();
    bench.transport.last.breaks();
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    await bench.change("a", DRAINING);
    bench.fake.lose("b");
    bench.transport.last.breaks();
    expect(caller.outcome).toBe("router_stopping");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
