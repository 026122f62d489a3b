import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { expectedWaitMs } from "./expected-wait.ts";
import type { EntryFacts } from "./queue-entry.ts";
import { runnerSpec } from "./runner-key.ts";
import type { Slot } from "./slots.ts";

test.each<[string, Parameters<typeof expectedWaitMs>[0], number | undefined]>([
  ["is nothing where a slot is free", { slots: 2, freeInMs: [900], ahead: 0, holdMs: undefined }, 0],
  ["is until the first slot is free", { slots: 2, freeInMs: [900, 300], ahead: 0, holdMs: 1_000 }, 300],
  ["is until the second for the second call", { slots: 2, freeInMs: [900, 300], ahead: 1, holdMs: 1_000 }, 900],
  ["is a round more where all slots go to others", { slots: 2, freeInMs: [900, 300], ahead: 2, holdMs: 1_000 }, 1_300],
  ["is two rounds more for those behind them", { slots: 1, freeInMs: [400], ahead: 2, holdMs: 1_000 }, 2_400],
  ["counts free slots that others will take", { slots: 2, freeInMs: [900], ahead: 1, holdMs: 1_000 }, 900],
  ["is not known while nothing is learned", { slots: 1, freeInMs: [400], ahead: 1, holdMs: undefined }, undefined],
])("the wait for a slot %s", (_, facts, expected) => {
  expect(expectedWaitMs(facts)).toBe(expected);
});

const LOADED: LoadedModel = { name: "m", weightsKey: "m", contextLength: 4096, sizeBytes: 1, vramBytes: 0 };
const SPEC = runnerSpec({ weightsKey: "m", model: "m", optionsJson: "", isEmbedding: false });

async function bench({ learned = true, queueLimit = 100 } = {}) {
  const clock = new SimClock();
  const load = async (): Promise<LoadedModel> => {
    await new Promise<void>((resolve) => clock.after(500, resolve));
    return LOADED;
  };
  const queue = new AdmissionQueue(
    { node: "n", slots: 1, queueLimit, queueBytesLimit: 1e6 },
    { clock, load, onChange: () => undefined },
  );
  const granted = async (): Promise<Slot> => {
    const { slot } = queue.enter(SPEC, 1);
    await clock.advanceAsync(queue.snapshot().runners.length === 0 || queue.snapshot().queued > 0 ? 500 : 0);
    return await slot;
  };
  const enter = (facts: EntryFacts) => {
    const entry = queue.enter(SPEC, 1, facts);
    entry.slot.catch(() => undefined);
    return entry;
  };
  for (let i = 0; learned && i < 3; i++) {
    const slot = await granted();
    await clock.advanceAsync(2_000);
    slot.release();
    await clock.advanceAsync(10_000);
  }
  return { clock, queue, granted, enter };
}

test("a call that has its slot at once waits for nothing, whether or not anything is learned", async () => {
  for (const learned of [true, false]) {
    const { queue, granted } = await bench({ learned });
    (await granted()).release();
    expect(queue.enter(SPEC, 1).stage()).toEqual({ kind: "queued", ahead: 0, expectedMs: 0 });
  }
});

test("a call in the queue is told when its slot is expected", async () => {
  const { clock, granted, enter } = await bench();
  const running = await granted();
  await clock.advanceAsync(300);
  const calls = [enter({}), enter({})];
  expect(calls.map((call) => call.stage())).toMatchObject([{ expectedMs: 1_700 }, { expectedMs: 3_700 }]);
  running.release();
});

test("a call that would wait longer than it can is refused at once, and told when to come back", async () => {
  const { queue, granted, enter } = await bench();
  await granted();
  enter({ longestWaitMs: 2_000 });
  expect(() => enter({ longestWaitMs: 3_999 })).toThrow(
    expect.objectContaining({ kind: "wait_exceeded", retryAfterMs: 4_000, message: expect.stringContaining("4.0 s") }),
  );
  enter({ longestWaitMs: 4_000 });
  expect(queue.snapshot().queued).toBe(2);
});

test("no call is refused for its wait while nothing is learned, nor where a slot is free", async () => {
  const fresh = await bench({ learned: false });
  await fresh.granted();
  expect(fresh.enter({ longestWaitMs: 1 }).stage()).toMatchObject({ kind: "queued", expectedMs: undefined });
  const learned = await bench();
  learned.enter({ longestWaitMs: 0 });
  expect(learned.queue.snapshot().active).toBe(1);
});

test("a load is part of the wait", async () => {
  const { clock, queue, enter } = await bench();
  queue.reconcile([], clock.nowMs());
  expect(() => enter({ longestWaitMs: 499 })).toThrow(expect.objectContaining({ retryAfterMs: 500 }));
  enter({});
  await clock.advanceAsync(200);
  expect(() => enter({ longestWaitMs: 299 })).toThrow(expect.objectContaining({ kind: "wait_exceeded" }));
});

test("a call for which the queue is full is told when a slot is expected", async () => {
  const { granted, enter } = await bench({ queueLimit: 1 });
  await granted();
  enter({});
  expect(() => enter({})).toThrow(expect.objectContaining({ kind: "queue_full", retryAfterMs: 4_000 }));
});
