import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT, type StartedCall } from "../testing/dispatch-bench.ts";

function committed(): { bench: DispatchBench; started: StartedCall } {
  const bench = DispatchBench.of("a", "b");
  const started = bench.start();
  bench.transport.last.chunk("1");
  bench.transport.last.chunk("2");
  return { bench, started };
}

describe("an attempt that breaks after its first token", () => {
  it("is not tried elsewhere, and its loss is UNAVAILABLE with the count of messages", () => {
    const { bench, started } = committed();
    bench.transport.last.breaks();
    expect(started.caller.outcome).toBe("stream_broken");
    expect(started.caller.message).toBe(
      'The answer broke off after 2 messages, ask again: The connection to the node was lost. (node "a", attempt 1)',
    );
    expect(started.caller.endings[0]?.error?.facts).toMatchObject({ messages: "2", node: "a" });
    expect(bench.transport.attempts.length).toBe(1);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("loses nothing when only the trailers are missing after `done`", () => {
    const { bench, started } = committed();
    bench.transport.last.done();
    bench.transport.last.breaks();
    expect(started.caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("counts no progress among the messages", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start();
    bench.transport.last.progress();
    bench.transport.last.chunk();
    bench.transport.last.breaks();
    expect(caller.message).toContain("after 1 message,");
  });

  it("is DATA_LOSS when the node ends OK without `done`", () => {
    const { bench, started } = committed();
    bench.transport.last.ok();
    expect(started.caller.outcome).toBe("output_incomplete");
    expect(started.caller.message).toContain("after 2 messages");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("keeps what the node said of its runner, and tells nobody to come again", () => {
    const { bench, started } = committed();
    bench.transport.last.fails("runner_crashed", "The runner crashed.", 1_000);
    expect(started.caller.outcome).toBe("runner_crashed");
    expect(started.caller.endings[0]?.error?.retryAfterMs).toBeUndefined();
    expect(started.caller.message).toContain("after 2 messages");
  });

  it("keeps the agent's times in the trailers", () => {
    const { bench, started } = committed();
    bench.transport.last.ends({
      kind: "answered",
      trailers: { "grpc-status": "14", "drover-queue-ms": "30", "drover-load-ms": "500" },
    });
    expect(started.caller.trailers).toMatchObject({ "drover-queue-ms": "30", "drover-load-ms": "500" });
  });
});
