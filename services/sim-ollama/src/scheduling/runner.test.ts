import { expect, test } from "vitest";
import { createModelCatalog, type Model } from "../model-catalog.ts";
import { parseModelOptions } from "../model-options.ts";
import { createRunner, type Runner, type Slot } from "./runner.ts";

const model = createModelCatalog([{ name: "m", contextLength: 8192 }]).models[0] as Model;
const never = new AbortController().signal;

function runner(slots: number, options: Record<string, unknown> = {}): Runner {
  return createRunner({ model, slots, options: parseModelOptions(options, 4096).runner });
}

test("slots go to those who wait, first come first served", async () => {
  const { acquireSlot, load } = runner(1);
  const first = await acquireSlot(["a"], never);
  const order: string[] = [];
  const wait = async (name: string): Promise<Slot | undefined> => {
    const slot = await acquireSlot([name], never);
    order.push(name);
    return slot;
  };
  const second = wait("second");
  const third = wait("third");
  expect(load()).toEqual({ busy: 1, waiting: 2 });
  first?.release();
  (await second)?.release();
  await third;
  expect(order).toEqual(["second", "third"]);
});

test("one who leaves the queue gets nothing and holds up nobody", async () => {
  const { acquireSlot, load } = runner(1);
  const first = await acquireSlot(["a"], never);
  const leaving = new AbortController();
  const second = acquireSlot(["b"], leaving.signal);
  const third = acquireSlot(["c"], never);
  leaving.abort();
  expect(await second).toBeUndefined();
  first?.release();
  expect(await third).toBeDefined();
  expect(load()).toEqual({ busy: 1, waiting: 0 });
});

test("releasing twice frees one slot once", async () => {
  const { acquireSlot, load } = runner(2);
  const first = await acquireSlot(["a"], never);
  await acquireSlot(["b"], never);
  first?.release();
  first?.release();
  expect(load()).toEqual({ busy: 1, waiting: 0 });
});

test("a slot remembers its last prompt, and the best memory is chosen", async () => {
  const { acquireSlot } = runner(2);
  const one = await acquireSlot(["a", "b", "c"], never);
  const two = await acquireSlot(["x", "y"], never);
  expect([one?.cachedTokens, two?.cachedTokens]).toEqual([0, 0]);
  one?.release();
  two?.release();
  expect((await acquireSlot(["x", "y", "z"], never))?.cachedTokens).toBe(2);
  expect((await acquireSlot(["a", "b", "q"], never))?.cachedTokens).toBe(2);
});

test("a dead runner sends those who wait away", async () => {
  const { acquireSlot, kill } = runner(1);
  await acquireSlot(["a"], never);
  const waiting = acquireSlot(["b"], never);
  kill();
  expect(await waiting).toBeUndefined();
});

test("the context is what was asked for, at most what the model knows", () => {
  expect(runner(1, { num_ctx: 512 }).contextLength).toBe(512);
  expect(runner(1, { num_ctx: 100_000 }).contextLength).toBe(8192);
});
