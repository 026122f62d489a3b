import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";

const DRAINING = { condition: { isDraining: true } };

describe("a call's deadline", () => {
  it("has passed already when less is left than this hop keeps for itself", () => {
    const bench = DispatchBench.of("a");
    const { caller, body } = bench.start({ timeoutMs: 5 });
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(bench.transport.attempts).toEqual([]);
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it.each([
    [100, 95],
    [1_000, 980],
    [10_000, 9_950],
  ])("given %i ms, ends after %i ms, so that the caller gets the message", (timeoutMs, endsAfterMs) => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs });
    expect(bench.transport.last.request.headers["grpc-timeout"]).toBe(`${endsAfterMs}m`);
    bench.clock.advance(endsAfterMs - 1);
    expect(caller.outcome).toBeUndefined();
    bench.clock.advance(1);
    expect(caller.outcome).toBe("deadline_exceeded");
  });

  it("ends a call that waits, and says that it waited", async () => {
    const bench = DispatchBench.of("a");
    await bench.change("a", DRAINING);
    const { caller } = bench.start({ timeoutMs: 1_000 });
    bench.clock.advance(980);
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(caller.message).toContain(
      "The deadline passed after 980 ms (980 ms of them without a node; no attempt made; no token came). ",
    );
    expect(caller.message).toContain("drain");
    expect(caller.trailers).toMatchObject({ "drover-queue-ms": "980" });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("stops the node before the first token, and names it", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 1_000 });
    bench.clock.advance(980);
    expect(bench.transport.last.isCancelled).toBe(true);
    expect(caller.message).toBe(
      'The deadline passed after 980 ms (0 ms of them without a node; 1 attempt, the last on node "a"; no token came).',
    );
    expect(caller.endings[0]?.error?.facts).toMatchObject({ node: "a", attempt: "1" });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("stops the node after the first token, and says when that came", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 1_000 });
    bench.clock.advance(200);
    bench.transport.last.chunk();
    bench.clock.advance(780);
    expect(bench.transport.last.isCancelled).toBe(true);
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(caller.message).toContain("the first token came after 200 ms");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("tells the whole call's time beside what the node says of its own attempt", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 1_000 });
    bench.clock.advance(960);
    bench.transport.last.fails("deadline_exceeded", "The deadline passed in the prefill.");
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(caller.message).toBe(
      'The deadline passed after 960 ms (0 ms of them without a node; 1 attempt, the last on node "a"; no token came). ' +
        'The deadline passed in the prefill. (node "a", attempt 1)',
    );
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("names what the node said last, when its own answer comes too late", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 3_000, isProgressWanted: false });
    bench.clock.advance(2_000);
    bench.transport.last.queues(2);
    bench.clock.advance(450);
    bench.transport.last.loads(400);
    bench.clock.advance(500);
    expect(caller.message).toBe(
      'The deadline passed after 2950 ms (0 ms of them without a node; 1 attempt, the last on node "a"; no token came). ' +
        'Node "a", last heard 0.5 s before, was loading the model for 0.4 s.',
    );
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("names what each node said last, when a second one was tried beside one that hangs", () => {
    const bench = DispatchBench.of("a", "b");
    const { caller } = bench.start({ timeoutMs: 10_000 });
    bench.clock.advance(2_000);
    bench.transport.last.reads(2_000, 100);
    bench.clock.advance(5_000);
    bench.transport.last.queues(0);
    bench.clock.advance(2_950);
    expect(caller.message).toContain(
      'Node "a", last heard 8.0 s before, was reading the prompt for 2.0 s. ' +
        'Node "b", last heard 3.0 s before, had the call in its queue with 0 ahead of it.',
    );
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("says nothing of a prefill once the first token came", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 3_000 });
    bench.clock.advance(2_000);
    bench.transport.last.reads(2_000, 100);
    bench.transport.last.chunk();
    bench.clock.advance(950);
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(caller.message).not.toContain("last heard");
  });

  it("lets the answer of a node be heard that lay unread when its time came", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ timeoutMs: 1_000 });
    const { transport } = bench;
    // Set after the call's own timer, so that it runs after it in the same moment: as a socket that is read after the timers.
    bench.clock.after(980, () => transport.last.fails("deadline_exceeded", "The deadline passed in the prefill."));
    bench.clock.advance(980);
    expect(caller.message).toContain("The deadline passed in the prefill.");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("ends a call that backs off", () => {
    const bench = new DispatchBench({ rng: { next: () => 0.99 } });
    bench.attach("a", "b");
    const { caller } = bench.start({ timeoutMs: 100 });
    bench.clock.advance(60);
    bench.transport.last.fails("ollama_busy");
    expect(bench.leftovers).toMatchObject({ timers: 3, attempts: 0, leases: 0 });
    bench.clock.advance(35);
    bench.transport.last.fails("ollama_busy");
    expect(caller.outcome).toBe("deadline_exceeded");
    expect(caller.message).toContain('2 attempts, the last on node "b"');
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("passes on to the next attempt only what is left", () => {
    const bench = DispatchBench.of("a", "b");
    bench.start({ timeoutMs: 10_000 });
    bench.clock.advance(4_000);
    bench.transport.last.breaks();
    expect(bench.transport.last.request.headers["grpc-timeout"]).toBe("5950m");
  });

  it("leaves no timer when the call ends before it", () => {
    const bench = DispatchBench.of("a");
    bench.start({ timeoutMs: 10_000 });
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
