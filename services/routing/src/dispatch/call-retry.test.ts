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

  it.each(["queue_full", "overloaded", "wait_exceeded"] as const)(
    "is placed elsewhere after %s, and told to the caller at once when nobody has room",
    (kind) => {
      const bench = benchOf("a", "b");
      const { caller } = bench.start();
      bench.transport.last.fails(kind, "No room.", 700);
      expect(bench.transport.endpoints).toEqual(["a", "b"]);
      bench.transport.last.fails(kind, "No room.", 900);
      expect([caller.outcome, caller.endings[0]?.error?.retryAfterMs]).toEqual([kind, 900]);
      expect(bench.transport.attempts.length).toBe(2);
      expect(bench.leftovers).toEqual(NOTHING_LEFT);
    },
  );

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

  it("goes to no node twice while another is left, then to the one that failed first, after a pause", () => {
    const bench = benchOf("a", "b", "c");
    const { caller } = bench.start();
    for (let count = 0; count < 3; count++) {
      bench.transport.last.breaks();
      bench.clock.advance(count < 2 ? 10 : 79);
    }
    expect(bench.transport.endpoints).toEqual(["a", "b", "c"]);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b", "c", "a"]);
    bench.transport.last.breaks();
    expect(caller.outcome).toBe("node_unreachable");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("prefers a node that is new to one that failed", async () => {
    const bench = benchOf("a");
    bench.start();
    bench.transport.last.breaks();
    bench.fake.discover("a", "b");
    await bench.change("b", {});
    bench.clock.advance(100);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
  });

  it("goes to a node that comes while it waits to try the one that failed again", async () => {
    const bench = benchOf("a");
    const { caller } = bench.start();
    bench.transport.last.fails("node_draining", "It drains.", 20_000);
    bench.clock.advance(1_000);
    expect(bench.dispatcher.waitingCalls).toBe(1);
    bench.fake.discover("a", "b");
    await bench.change("b", {});
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(caller.trailers["drover-queue-ms"]).toBe("1000");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is not tried again sooner because the fleet changes", async () => {
    const bench = benchOf("a");
    bench.start();
    bench.transport.last.fails("node_draining", "It drains.", 20_000);
    for (let seconds = 0; seconds < 19; seconds++) {
      await bench.change("a", {});
      bench.clock.advance(1_000);
    }
    expect(bench.transport.endpoints).toEqual(["a"]);
    bench.clock.advance(1_000);
    expect(bench.transport.endpoints).toEqual(["a", "a"]);
  });

  it("is tried again on the only node, each time after a longer pause, four times in all", () => {
    const bench = benchOf("a");
    const { caller } = bench.start();
    for (const pauseMs of [100, 200, 400]) {
      const made = bench.transport.attempts.length;
      bench.transport.last.breaks();
      bench.clock.advance(pauseMs - 1);
      expect(bench.transport.attempts.length).toBe(made);
      bench.clock.advance(1);
      expect(bench.transport.attempts.length).toBe(made + 1);
    }
    bench.transport.last.breaks();
    expect(caller.outcome).toBe("node_unreachable");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("waits for the only node to come back when it vanished, however long within its patience", async () => {
    const bench = benchOf("a");
    const { caller } = bench.start({ maxWaitMs: 60_000 });
    bench.transport.last.breaks();
    bench.fake.lose("a");
    await Promise.resolve();
    bench.clock.advance(30_000);
    expect(caller.outcome).toBeUndefined();
    expect(bench.dispatcher.waitingCalls).toBe(1);
    await bench.change("a", {});
    expect(bench.transport.endpoints).toEqual(["a", "a"]);
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("ends with the failure when the node is not back in time", async () => {
    const bench = benchOf("a");
    const { caller } = bench.start({ maxWaitMs: 10_000 });
    bench.clock.advance(2_000);
    bench.transport.last.fails("node_draining", "It drains.");
    await bench.change("a", { condition: { isDraining: true } });
    bench.clock.advance(7_999);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("node_draining");
    expect(caller.message).toBe('It drains. (node "a", attempt 1)');
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("ends at its deadline while it waits for the node", () => {
    const bench = benchOf("a");
    const { caller } = bench.start({ timeoutMs: 1_000 });
    bench.transport.last.breaks();
    bench.fake.lose("a");
    bench.clock.advance(1_000);
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("fails at once when the pause would outlast the deadline", () => {
    const bench = benchOf("a");
    const { caller } = bench.start({ timeoutMs: 90 });
    bench.transport.last.breaks();
    expect(caller.outcome).toBe("node_unreachable");
  });

  it("honours how long the node asked to be left alone", () => {
    const bench = benchOf("a");
    bench.start();
    bench.transport.last.fails("node_draining", "It drains.", 3_000);
    bench.clock.advance(2_999);
    expect(bench.transport.attempts.length).toBe(1);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "a"]);
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
    bench.transport.last.fails("ollama_failed");
    bench.clock.advance(25);
    bench.transport.last.fails("ollama_failed");
    bench.clock.advance(1_000);
    expect(bench.transport.attempts.length).toBe(2);
    expect(caller.outcome).toBe("ollama_failed");
  });

  it("is poison when it crashed runners on two nodes, which are named", () => {
    const bench = benchOf("a", "b", "c");
    const { caller } = bench.start();
    bench.transport.last.fails("runner_crashed");
    bench.clock.advance(25);
    bench.transport.last.fails("runner_crashed");
    expect(bench.transport.attempts.length).toBe(2);
    expect(caller.outcome).toBe("poison");
    expect(caller.message).toBe(
      'The runner of model "llama3.2:1b" crashed on this request on the nodes "a" and "b", so no other is tried: ' +
        "change the request, or see Ollama's log on these nodes.",
    );
    expect(caller.endings[0]?.error?.facts).toEqual({ model: "llama3.2:1b", nodes: "a,b" });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("goes back to the node that failed first, when no other is left, not before that one asked", () => {
    const bench = benchOf("a", "b");
    bench.start();
    bench.transport.last.fails("ollama_busy", "Busy.", 2_000);
    bench.clock.advance(25);
    bench.transport.last.fails("ollama_busy", "Busy.", 500);
    bench.clock.advance(1_974);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    bench.clock.advance(1);
    expect(bench.transport.endpoints).toEqual(["a", "b", "a"]);
  });

  it.each(["load_failed", "out_of_memory", "ollama_denied", "node_lacks_model"] as const)(
    "does not go back to a node that time does not mend: %s",
    (kind) => {
      const bench = benchOf("a", "b");
      const { caller } = bench.start();
      bench.transport.last.fails(kind);
      bench.clock.advance(25);
      bench.transport.last.fails("ollama_busy");
      expect(caller.outcome).toBe("ollama_busy");
      expect(bench.leftovers).toEqual(NOTHING_LEFT);
    },
  );

  it("costs neither budget nor time when there is no other node", () => {
    const bench = benchOf("a");
    for (let count = 0; count < 20; count++) {
      const { caller } = bench.start();
      bench.transport.last.fails("ollama_busy");
      expect(caller.outcome).toBe("ollama_busy");
    }
    bench.attach("a", "b");
    // A reserve of 3, and a fifth of 27 calls: nothing of it was spent.
    for (let count = 0; count < 7; count++) {
      bench.start();
      const made = bench.transport.attempts.length;
      bench.transport.last.fails("ollama_busy");
      bench.clock.advance(25);
      expect(bench.transport.attempts.length).toBe(made + 1);
    }
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
    bench.transport.last.fails("load_failed");
    bench.clock.advance(25);
    bench.transport.last.fails("ollama_busy", "Ollama has no free slot.", 3_000);
    expect(caller.message).toBe('Ollama has no free slot. (node "b", attempt 2)');
    expect(caller.endings[0]?.error).toMatchObject({
      kind: "ollama_busy",
      retryAfterMs: 3_000,
      facts: { model: "llama3.2:1b", node: "b", attempt: "2" },
    });
  });

  it("never names addresses or causes to the caller", () => {
    const bench = benchOf("a");
    const { caller } = bench.start({ maxWaitMs: 0 });
    bench.transport.last.breaks();
    expect(caller.outcome).toBe("node_unreachable");
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
