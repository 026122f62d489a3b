/** What the queue learns from the calls that it lets through. */
import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { type RunnerSpec, runnerSpec } from "./runner-key.ts";
import type { Slot } from "./slots.ts";

const LOADED: LoadedModel = { name: "m", weightsKey: "m", contextLength: 4096, sizeBytes: 1, vramBytes: 0 };
const SPEC = runnerSpec({ weightsKey: "m", model: "m", optionsJson: "", isEmbedding: false });
const answer = { promptTokens: 100, prefillMs: 1_000, tokens: 100, decodeMs: 2_000 };

function bench(slots: number) {
  const clock = new SimClock();
  const queue = new AdmissionQueue(
    { node: "n", slots, queueLimit: 100, queueBytesLimit: 10_000 },
    {
      clock,
      load: async () => {
        await new Promise<void>((resolve) => clock.after(700, resolve));
        return LOADED;
      },
      onChange: () => undefined,
    },
  );
  const granted = async (spec: RunnerSpec = SPEC): Promise<Slot> => {
    const entry = queue.enter(spec, 1);
    await clock.advanceAsync(700);
    return await entry.slot;
  };
  const rates = () => queue.snapshot().runners[0]?.rates;
  return { clock, queue, granted, rates };
}

test("a load that the agent made is learned, and one of a model that was there already is not", async () => {
  const own = bench(1);
  await own.granted();
  expect(own.rates()?.loadMs).toBe(700);
  const foreign = bench(1);
  foreign.queue.reconcile([LOADED], 0);
  await foreign.granted();
  expect(foreign.rates()?.loadMs).toBeUndefined();
});

test("the speed of writing counts for the number of others that ran from the first token to the last", async () => {
  const { granted, rates } = bench(3);
  const [first, second, third] = [await granted(), await granted(), await granted()];
  first.firstToken();
  second.firstToken();
  first.release({ counts: answer });
  expect(rates()).toMatchObject({ prefillTokensPerSecond: 100, msPerToken: [20, 20, 20] });
  second.release({ counts: { ...answer, decodeMs: 9_000 } });
  expect(rates()?.msPerToken).toEqual([20, 20, 20]);
  third.firstToken();
  third.release({ counts: { ...answer, decodeMs: 500 } });
  expect(rates()?.msPerToken).toEqual([5, 5, 20]);
});

test("a slot tells how long its prompt is expected to be read: a guess at first, then what was learned", async () => {
  const { clock, queue } = bench(1);
  const expectedMs = async (release: Parameters<Slot["release"]>[0] = {}): Promise<number> => {
    const entry = queue.enter(SPEC, 1, { promptBytes: 4_000 });
    await clock.advanceAsync(700);
    const slot = await entry.slot;
    const expected = slot.expectedPrefillMs();
    slot.firstToken();
    slot.release(release);
    return expected;
  };
  expect(await expectedMs({ counts: { ...answer, promptTokens: 1_000, prefillMs: 500 } })).toBe(10_000);
  expect(await expectedMs()).toBe(500);
});

test("a call that failed teaches nothing", async () => {
  const { granted, rates } = bench(1);
  const slot = await granted();
  slot.firstToken();
  slot.release();
  expect(rates()).toEqual({ prefillTokensPerSecond: undefined, msPerToken: [], loadMs: 700 });
});

test("tells how many bytes of a request make a token, once a long enough prompt taught it", async () => {
  const { clock, queue } = bench(1);
  const told = () => queue.snapshot().runners[0]?.bytesPerToken;
  const answered = async (promptTokens: number) => {
    const entry = queue.enter(SPEC, 1, { promptBytes: 300 });
    await clock.advanceAsync(700);
    (await entry.slot).release({ counts: { ...answer, promptTokens } });
  };
  await answered(10);
  expect(told()).toBeUndefined();
  await answered(100);
  expect(told()).toBe(3);
});
