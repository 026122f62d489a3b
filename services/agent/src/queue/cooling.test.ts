/** What happens to a slot whose call was cut off: Ollama 0.24.0 reads a prompt to its end though nobody waits for it. */
import { SimClock } from "@drover/platform";
import { beforeEach, describe, expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { runnerSpec } from "./runner-key.ts";
import type { Slot } from "./slots.ts";

const LOADED: LoadedModel = { name: "m", weightsKey: "m", contextLength: 0, sizeBytes: 1, vramBytes: 0 };
const SPEC = runnerSpec({ weightsKey: "m", model: "m", optionsJson: "", isEmbedding: false });
const OTHER = runnerSpec({ weightsKey: "m", model: "m", optionsJson: '{"num_ctx":9}', isEmbedding: false });

describe("a slot whose call was cut off", () => {
  let clock: SimClock;
  let queue: AdmissionQueue;
  let loads: number;
  let doesPrefillOutliveCancel: boolean;

  function make(slots: number, contextLength = 32_000): void {
    queue = new AdmissionQueue(
      { node: "n", slots, queueLimit: 100, queueBytesLimit: 1e9 },
      {
        clock,
        load: () => {
          loads++;
          return Promise.resolve({ ...LOADED, contextLength });
        },
        doesPrefillOutliveCancel: () => doesPrefillOutliveCancel,
        onChange: () => undefined,
      },
    );
  }

  async function enter(promptBytes?: number, spec = SPEC): Promise<{ slot: Slot | undefined }> {
    const call: { slot: Slot | undefined } = { slot: undefined };
    void queue.enter(spec, 1, { promptBytes }).slot.then((slot) => {
      call.slot = slot;
    });
    await clock.advanceAsync(0);
    return call;
  }

  /** Teaches that a token is read in 10 ms and has 4 bytes. */
  async function learn(): Promise<void> {
    const { slot } = await enter(400);
    slot?.firstToken();
    slot?.release({ counts: { promptTokens: 100, prefillMs: 1_000, tokens: 1, decodeMs: 1 } });
  }

  beforeEach(() => {
    clock = new SimClock();
    loads = 0;
    doesPrefillOutliveCancel = true;
    make(1);
  });

  test("is free at once where Ollama stops reading, as since 0.30; Ollama may be another one tomorrow", async () => {
    await learn();
    doesPrefillOutliveCancel = false;
    (await enter(4_000)).slot?.release({ isCut: true });
    expect(queue.snapshot()).toMatchObject({ active: 0 });
    doesPrefillOutliveCancel = true;
    (await enter(4_000)).slot?.release({ isCut: true });
    expect(queue.snapshot()).toMatchObject({ active: 1 });
  });

  test("counts as active and is granted to nobody until the prompt is read", async () => {
    await learn();
    const long = await enter(4_000);
    await clock.advanceAsync(3_000);
    long.slot?.release({ isCut: true });
    const next = await enter(40);
    expect(queue.snapshot()).toMatchObject({ active: 1, cooling: 1, queued: 1, runners: [{ active: 1, cooling: 1 }] });
    await clock.advanceAsync(6_999);
    expect(next.slot).toBeUndefined();
    await clock.advanceAsync(1);
    expect(next.slot).toBeDefined();
    expect(queue.snapshot()).toMatchObject({ active: 1, cooling: 0, queued: 0, runners: [{ cooling: 0 }] });
    next.slot?.release();
    expect(queue.snapshot().active).toBe(0);
    expect(clock.pendingCount).toBe(0);
  });

  test.each<[string, boolean, number, object]>([
    ["its first token came", true, 0, { isCut: true }],
    ["the prompt must have been read by then", false, 10_000, { isCut: true }],
    ["Ollama itself ended the call", false, 0, {}],
    ["the call took its runner with it", false, 0, { isCut: true, isRunnerGone: true }],
  ])("is free at once when %s", async (_, hasToken, afterMs, release) => {
    await learn();
    const long = await enter(4_000);
    if (hasToken) long.slot?.firstToken();
    await clock.advanceAsync(afterMs);
    long.slot?.release(release);
    expect(queue.snapshot().active).toBe(0);
    expect(clock.pendingCount).toBe(0);
  });

  test.each<[string, number | undefined, number]>([
    ["is guessed at 100 tokens a second", 400, 1_000],
    ["is guessed as 2,048 tokens where images hide its length", undefined, 20_480],
    ["cools for 90 s at most on a guess", 1e6, 90_000],
  ])("of which nothing is learned %s", async (_, promptBytes, expectedMs) => {
    const long = await enter(promptBytes);
    long.slot?.release({ isCut: true });
    await clock.advanceAsync(expectedMs - 1);
    expect(queue.snapshot().active).toBe(1);
    await clock.advanceAsync(1);
    expect(queue.snapshot().active).toBe(0);
  });

  test.each([
    ["five minutes", 32_000, 300_000],
    ["its context takes", 4_000, 40_000],
  ])("cools no longer than %s", async (_, contextLength, expectedMs) => {
    make(1, contextLength);
    await learn();
    const long = await enter(1e6);
    long.slot?.release({ isCut: true });
    await clock.advanceAsync(expectedMs - 1);
    expect(queue.snapshot().active).toBe(1);
    await clock.advanceAsync(1);
    expect(queue.snapshot().active).toBe(0);
  });

  test("is free when a later prompt that is no shorter was read, not when a shorter one was", async () => {
    make(2);
    await learn();
    const long = await enter(4_000);
    const before = await enter(8_000);
    await clock.advanceAsync(1);
    long.slot?.release({ isCut: true });
    before.slot?.firstToken();
    before.slot?.release();
    const short = await enter(3_000);
    short.slot?.firstToken();
    short.slot?.release();
    expect(queue.snapshot().active).toBe(1);
    const longer = await enter(5_000);
    longer.slot?.firstToken();
    expect(queue.snapshot().active).toBe(1);
    longer.slot?.release();
    expect(queue.snapshot().active).toBe(0);
  });

  test("is free when Ollama no longer lists the runner", async () => {
    const long = await enter(40_000);
    long.slot?.release({ isCut: true });
    const next = await enter(40);
    await clock.advanceAsync(10);
    queue.reconcile([], clock.nowMs());
    await clock.advanceAsync(0);
    expect(next.slot).toBeDefined();
    expect(loads).toBe(2);
    expect(queue.snapshot().active).toBe(1);
  });

  test("does not hold up a load that replaces its runner", async () => {
    const long = await enter(40_000);
    long.slot?.release({ isCut: true });
    const other = await enter(40, OTHER);
    expect(other.slot).toBeDefined();
    expect(queue.snapshot().active).toBe(1);
  });

  test("is not counted as one who shares the runner", async () => {
    make(2);
    const long = await enter(40_000);
    const next = await enter(40);
    expect(next.slot?.isShared()).toBe(true);
    long.slot?.release({ isCut: true });
    expect(next.slot?.isShared()).toBe(false);
  });

  test("leaves no timer when the queue closes", async () => {
    const long = await enter(40_000);
    long.slot?.release({ isCut: true });
    queue.close(new Error("stops"));
    expect([clock.pendingCount, queue.snapshot().active]).toEqual([0, 0]);
  });

  test("does not cool after the queue closed", async () => {
    const long = await enter(40_000);
    queue.close(new Error("stops"));
    long.slot?.release({ isCut: true });
    expect([clock.pendingCount, queue.snapshot().active]).toEqual([0, 0]);
  });
});
