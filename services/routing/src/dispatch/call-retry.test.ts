import type { Rng } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import { callProfile } from "../testing/node-views.ts";

/** Backoffs take the longest that they may. */
const longest: Rng = { next: () => 0.999_999 };

function benchOf(...names: readonly string[]): DispatchBench {
  const bench = new DispatchBench({ rng: longest });
  bench.attach(...names);
  return bench;
}

describe("an attempt that provably never ran, or whose node went away", () => {
  it("is placed on another node at once, with the next attempt's number", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start();
    bench.transport.last.breaks("stream_refused");
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    expect(bench.transport.last.request.headers).toMatchObject({
      "drover-attempt": "2",
      "grpc-previous-rpc-attempts": "1",
    });
    expect(bench.ledger.openLeases("id-a")).toBe(0);
    bench.transport.last.chunk();
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(caller.trailers).toMatchObject({ "drover-node": "b", "drover-attempts": "2" });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("costs no budget: any number of calls is placed again", () => {
    const bench = benchOf("a", "b");
    for (let count = 0; count < 50; count++) {
      const { caller } = bench.start();
      bench.transport.last.breaks();
      bench.transport.last.done();
      bench.transport.last.ok();
      expect(caller.outcome).toBe("OK");
    }
  });

  it("never goes to the same node twice", () => {
    const bench = benchOf("a", "b", "c");
    const { caller } = bench.start();
    for (let count = 0; count < 3; count++) bench.transport.last.breaks();
    expect([...bench.transport.endpoints].sort()).toEqual(["a", "b", "c"]);
    expect(caller.outcome).toBe("node_unreachable");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("an attempt that a live node answered with a failure", () => {
  it("is tried elsewhere after a backoff", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start();
    bench.transport.last.fails("ollama_busy");
    expect(bench.transport.attempts.length).toBe(1);
    expect(bench.ledger.openTotal).toBe(0);
    bench.clock.advance(24);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("backs off longer each time", () => {
    const bench = benchOf("a", "b", "c", "d");
    bench.start();
    for (const backoffMs of [25, 50, 100]) {
      const made = bench.transport.attempts.length;
      bench.transport.last.fails("ollama_busy");
      bench.clock.advance(backoffMs - 1);
      expect(bench.transport.attempts.length).toBe(made);
      bench.clock.advance(1);
      expect(bench.transport.attempts.length).toBe(made + 1);
    }
  });

  it("is not tried again when the budget of retries is spent, which the next failures say as they are", () => {
    const bench = benchOf("a", "b");
    const retried: boolean[] = [];
    for (let count = 0; count < 5; count++) {
      const { caller } = bench.start();
      bench.transport.last.fails("ollama_busy");
      bench.clock.advance(25);
      retried.push(caller.outcome === undefined);
      if (caller.outcome !== undefined) continue;
      bench.transport.last.done();
      bench.transport.last.ok();
    }
    // A reserve of 3, and a fifth of five calls.
    expect(retried).toEqual([true, true, true, false, true]);
  });

  it("is tried on one other node only where a third would say the same", () => {
    const bench = benchOf("a", "b", "c");
    const { caller } = bench.start();
    bench.transport.last.fails("runner_crashed");
    bench.clock.advance(25);
    bench.transport.last.fails("runner_crashed");
    bench.clock.advance(1_000);
    expect(bench.transport.attempts.length).toBe(2);
    expect(caller.outcome).toBe("runner_crashed");
  });

  it("is never tried again when the next node would say the same", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start();
    bench.transport.last.fails("request_rejected", 'invalid format: "xml"');
    expect(caller.outcome).toBe("request_rejected");
    expect(caller.message).toBe('invalid format: "xml" (node "a", attempt 1)');
    expect(bench.transport.attempts.length).toBe(1);
  });

  it("is never tried again when the backoff would outlast the deadline", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start({ timeoutMs: 25 });
    bench.transport.last.fails("ollama_busy");
    expect(caller.outcome).toBe("ollama_busy");
  });
});

describe("a call that fails for good", () => {
  it("makes at most four attempts", () => {
    const bench = benchOf("a", "b", "c", "d", "e");
    const { caller } = bench.start();
    for (let count = 0; count < 4; count++) bench.transport.last.breaks();
    expect(bench.transport.attempts.length).toBe(4);
    expect(caller.outcome).toBe("node_unreachable");
    expect(caller.trailers).toMatchObject({ "drover-attempts": "4" });
  });

  it("shows the last failure, with node and attempt, and when to come again", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start();
    bench.transport.last.breaks();
    bench.transport.last.fails("ollama_busy", "Ollama has no free slot.", 3_000);
    bench.clock.advance(25);
    expect(caller.message).toBe('Ollama has no free slot. (node "b", attempt 2)');
    expect(caller.endings[0]?.error).toMatchObject({
      kind: "ollama_busy",
      retryAfterMs: 3_000,
      facts: { model: "llama3.2:1b", node: "b", attempt: "2" },
    });
  });

  it("never names addresses or causes to the caller", () => {
    const bench = benchOf("a");
    const { caller } = bench.start();
    bench.transport.last.breaks();
    expect(caller.message).not.toContain("10.0.0.7");
    expect(JSON.stringify(caller.endings[0]?.error?.facts)).not.toContain("10.0.0.7");
  });

  it("goes to no other node when the caller asked for one", () => {
    const bench = benchOf("a", "b");
    const { caller } = bench.start({ profile: callProfile({ node: "b" }) });
    bench.transport.last.breaks();
    expect(bench.transport.endpoints).toEqual(["b"]);
    expect(caller.outcome).toBe("node_unreachable");
  });

  it("keeps a status that has no reason of Drover's", () => {
    const bench = benchOf("a");
    const { caller } = bench.start();
    bench.transport.last.ends({ kind: "answered", trailers: { "grpc-status": "3", "grpc-message": "no%20thanks" } });
    expect(caller.outcome).toBe("request_rejected");
    expect(caller.message).toBe('no thanks (node "a", attempt 1)');
  });

  it.each([
    ["ends without a status", {}],
    ["ends OK without any output", { "grpc-status": "0" }],
  ])("tries elsewhere when a node %s", (_what, trailers) => {
    const bench = benchOf("a", "b");
    bench.start();
    bench.transport.last.ends({ kind: "answered", trailers });
    bench.clock.advance(25);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
  });
});
