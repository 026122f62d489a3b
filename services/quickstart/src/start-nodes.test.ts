import { create } from "@bufbuild/protobuf";
import { SimClock } from "@drover/platform";
import { ModelInventorySchema } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, test } from "vitest";
import type { NodeOutcome, StartingNode } from "./start-node.ts";
import { waitForFirstReport } from "./start-nodes.ts";

const reported = (...names: string[]): NodeOutcome => {
  const models = names.map((name) => ({ name, capabilities: ["completion"], sizeBytes: 1n }));
  return { kind: "reported", report: { inventory: create(ModelInventorySchema, { isComplete: true, models }) } };
};
const failed: NodeOutcome = { kind: "failed", title: "the agent", why: "no reason" };

/** Nodes that say what a test lets them say. */
function nodes(count: number) {
  const outcomes = Array.from({ length: count }, () => Promise.withResolvers<NodeOutcome>());
  const starting = outcomes.map(
    ({ promise }, i): StartingNode => ({
      plan: { name: `node-${i}`, source: { kind: "ollama", url: "http://a", version: "0.24.0" } },
      endpoint: "127.0.0.1:1",
      outcome: promise,
    }),
  );
  const clock = new SimClock();
  const stop = new AbortController();
  const wait = waitForFirstReport(starting, { clock, signal: stop.signal });
  let isOver = false;
  void wait.then(() => {
    isOver = true;
  });
  return { outcomes, clock, stop, wait, isOver: () => isOver };
}

describe("waiting for the first report", () => {
  test("ends with the first node that has a model for the sample", async () => {
    const { outcomes, clock, wait, isOver } = nodes(3);
    outcomes[1]?.resolve(reported());
    await clock.advanceAsync(10);
    expect(isOver()).toBe(false);
    outcomes[2]?.resolve(reported("small:1b"));
    expect(await wait).toMatchObject({ model: { name: "small:1b" }, count: 2, isComplete: false });
    expect(clock.pendingCount).toBe(0);
  });

  test("ends when every node has said what it can, and then no model means that there is none", async () => {
    const { outcomes, wait } = nodes(2);
    outcomes[0]?.resolve(reported());
    outcomes[1]?.resolve(failed);
    expect(await wait).toEqual({ model: undefined, count: 1, isComplete: true });
  });

  test("knows nothing of a fleet in which no node or not every node has reported", async () => {
    const none = nodes(1);
    none.outcomes[0]?.resolve(failed);
    expect(await none.wait).toEqual({ model: undefined, count: 0, isComplete: false });
    const late = nodes(2);
    late.outcomes[0]?.resolve(reported());
    late.outcomes[1]?.resolve({ kind: "late" });
    expect(await late.wait).toEqual({ model: undefined, count: 1, isComplete: false });
  });

  test("ends after 5 s, or with a stop", async () => {
    const slow = nodes(1);
    await slow.clock.advanceAsync(4_999);
    expect(slow.isOver()).toBe(false);
    await slow.clock.advanceAsync(1);
    expect(slow.isOver()).toBe(true);
    const stopped = nodes(1);
    stopped.stop.abort();
    expect(await stopped.wait).toMatchObject({ count: 0 });
  });
});
