import { DroverError, toGrpcTrailers } from "@drover/platform";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import type { FakeNode } from "../testing/fake-fleet.ts";
import { MODEL } from "../testing/node-views.ts";
import type { ScriptedAttempt } from "../testing/scripted-transport.ts";

function withContext(contextLength: number): FakeNode {
  return {
    load: { runners: [{ model: MODEL, state: RunnerState.LOADED, slots: 1, contextLength }], slotsPerRunner: 1 },
  };
}

function withCapabilities(...capabilities: string[]): FakeNode {
  return { inventory: { models: [{ name: MODEL, capabilities }], isComplete: true } };
}

function benchOf(nodes: Readonly<Record<string, FakeNode>>): DispatchBench {
  const bench = new DispatchBench();
  bench.fake.discover(...Object.keys(nodes));
  for (const [name, node] of Object.entries(nodes)) bench.fake.attach(name, node);
  return bench;
}

/** The node says that the prompt is too long for it, and what its context is. */
function isTooLong(attempt: ScriptedAttempt, contextLength?: number): void {
  const facts: Record<string, string> = contextLength === undefined ? {} : { context_length: String(contextLength) };
  const error = new DroverError("context_exceeded", "Too long.", { facts });
  attempt.ends({ kind: "answered", trailers: toGrpcTrailers(error) as Record<string, string> });
}

function succeeds(attempt: ScriptedAttempt): void {
  attempt.chunk();
  attempt.done();
  attempt.ok();
}

describe("a prompt that is too long for the context of a node", () => {
  it("goes to a node whose context is larger, and to no other", () => {
    const bench = benchOf({
      a: withContext(4_096),
      b: withContext(4_096),
      c: withContext(2_048),
      d: withContext(8_192),
    });
    const { caller } = bench.start();
    isTooLong(bench.transport.last, 4_096);
    expect(bench.transport.endpoints).toEqual(["a", "d"]);
    succeeds(bench.transport.last);
    expect([caller.outcome, caller.trailers["drover-attempts"]]).toEqual(["OK", "2"]);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is refused in the node's words when none has a larger one, or none tells", () => {
    const bench = benchOf({ a: withContext(4_096), b: withContext(4_096), c: withContext(0) });
    const { caller } = bench.start();
    isTooLong(bench.transport.last, 4_096);
    expect(bench.transport.endpoints).toEqual(["a"]);
    expect(caller.outcome).toBe("context_exceeded");
    expect(caller.message).toContain('Too long. (node "a", attempt 1)');
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is refused at once when the node cannot tell its context, or the request sets its own", () => {
    const bench = benchOf({ a: withContext(4_096), b: withContext(8_192) });
    const untold = bench.start();
    isTooLong(bench.transport.last);
    const own = bench.start({ profile: { ...bench.profile, namesContext: true } });
    isTooLong(bench.transport.last, 1_024);
    expect([untold.caller.outcome, own.caller.outcome]).toEqual(["context_exceeded", "context_exceeded"]);
    expect(bench.transport.attempts).toHaveLength(2);
  });

  it("climbs from context to context, and never asks a smaller one after that", () => {
    const bench = benchOf({ a: withContext(2_048), b: withContext(4_096), c: withContext(8_192) });
    const { caller } = bench.start();
    isTooLong(bench.transport.last, 2_048);
    isTooLong(bench.transport.last, 4_096);
    expect(bench.transport.endpoints).toEqual(["a", "b", "c"]);
    bench.transport.last.breaks();
    // The large one is away, and the small ones would only say the same again.
    bench.clock.advance(5_000);
    expect(bench.transport.endpoints.slice(3).every((endpoint) => endpoint === "c")).toBe(true);
    expect(caller.outcome).not.toBe("OK");
  });

  it("costs neither budget nor backoff, nor does it count against the node", () => {
    const bench = new DispatchBench({ hasEjection: true });
    bench.fake.discover("a", "b");
    bench.fake.attach("a", withContext(4_096));
    bench.fake.attach("b", withContext(8_192));
    for (let count = 0; count < 30; count++) {
      const { caller } = bench.start({ profile: { ...bench.profile } });
      if (bench.transport.last.request.endpoint === "a") isTooLong(bench.transport.last, 4_096);
      expect(bench.transport.last.request.endpoint).toBe("b");
      succeeds(bench.transport.last);
      expect(caller.outcome).toBe("OK");
    }
    expect(bench.transport.endpoints.filter((endpoint) => endpoint === "a").length).toBeGreaterThan(10);
    expect(bench.health.report("id-a")).toMatchObject({ isEjected: false, score: 1 });
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("a request that asks for what a node's model cannot do", () => {
  it("goes to a node whose copy is known to have it", () => {
    const bench = benchOf({
      a: withCapabilities(),
      b: withCapabilities(),
      c: withCapabilities("completion", "tools"),
    });
    const { caller } = bench.start({ profile: { ...bench.profile, capabilities: ["completion", "tools"] } });
    bench.transport.last.fails("capability_missing");
    expect(bench.transport.endpoints).toEqual(["a", "c"]);
    succeeds(bench.transport.last);
    expect(caller.outcome).toBe("OK");
  });

  it("is refused in the node's words when no copy is known to have it", () => {
    const bench = benchOf({ a: withCapabilities(), b: withCapabilities() });
    const { caller } = bench.start({ profile: { ...bench.profile, capabilities: ["completion", "tools"] } });
    bench.transport.last.fails("capability_missing", "No tools.");
    expect([caller.outcome, caller.message]).toEqual(["capability_missing", 'No tools. (node "a", attempt 1)']);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
