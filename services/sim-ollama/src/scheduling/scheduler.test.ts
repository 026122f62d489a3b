import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import { FOREVER_MS } from "../keep-alive.ts";
import { createModelCatalog, type Model } from "../model-catalog.ts";
import { parseModelOptions } from "../model-options.ts";
import { OllamaError } from "../ollama-error.ts";
import { type LoadRequest, type RunnerLease, Scheduler, type SchedulerOptions } from "./scheduler.ts";

const { models } = createModelCatalog([{ name: "a" }, { name: "b" }, { name: "c" }, { name: "d" }]);
const [a, b, c, d] = models as [Model, Model, Model, Model];

function setUp(options: Partial<SchedulerOptions> = {}) {
  const clock = new SimClock();
  const scheduler = new Scheduler({
    clock,
    slots: 1,
    loadMs: 100,
    keepAliveMs: 5000,
    maxLoadedModels: 3,
    maxQueue: 512,
    ...options,
  });
  const acquire = (model: Model, extra: Partial<LoadRequest> & { numCtx?: number } = {}): Promise<RunnerLease> =>
    scheduler.acquire({
      model,
      options: parseModelOptions(extra.numCtx === undefined ? {} : { num_ctx: extra.numCtx }, 4096).runner,
      keepAliveMs: undefined,
      signal: new AbortController().signal,
      onLoading: () => {},
      loadFailure: undefined,
      ...extra,
    });
  const names = (): string[] => scheduler.loadedModels().map((entry) => entry.model.displayName[0] ?? "");
  return { clock, scheduler, acquire, names };
}

/** What has become of a promise by now. */
function watch<T>(promise: Promise<T>): { value: T | undefined; error: unknown } {
  const seen: { value: T | undefined; error: unknown } = { value: undefined, error: undefined };
  promise.then(
    (value) => (seen.value = value),
    (error) => (seen.error = error),
  );
  return seen;
}

test("a cold model loads in its time and is not listed before", async () => {
  const { clock, acquire, names } = setUp();
  const lease = watch(acquire(a));
  await clock.advanceAsync(99);
  expect([lease.value, names()]).toEqual([undefined, []]);
  await clock.advanceAsync(1);
  expect(lease.value).toBeDefined();
  expect(names()).toEqual(["a"]);
});

test("loads come strictly one after another, and requests for one model share a load", async () => {
  const { clock, acquire } = setUp();
  const first = watch(acquire(a));
  const second = watch(acquire(b));
  const third = watch(acquire(a));
  await clock.advanceAsync(100);
  expect([first.value !== undefined, second.value, third.value]).toEqual([true, undefined, undefined]);
  await clock.advanceAsync(100);
  expect([second.value !== undefined, third.value !== undefined]).toEqual([true, true]);
});

test("a load is lost when its requester leaves, and starts anew for the next", async () => {
  const { clock, acquire, names } = setUp();
  const leaving = new AbortController();
  const first = watch(acquire(a, { signal: leaving.signal }));
  const second = watch(acquire(a));
  await clock.advanceAsync(90);
  leaving.abort();
  await clock.advanceAsync(20);
  expect(first.error).toMatchObject({ status: 499 });
  expect(names()).toEqual([]);
  await clock.advanceAsync(80);
  expect(second.value).toBeDefined();
});

test("an idle model is unloaded when its keep-alive ends, counted from the last use", async () => {
  const { clock, acquire, names } = setUp();
  const lease = acquire(a);
  await clock.advanceAsync(100);
  (await lease).release();
  await clock.advanceAsync(4000);
  (await acquire(a)).release();
  await clock.advanceAsync(4999);
  expect(names()).toEqual(["a"]);
  await clock.advanceAsync(1);
  expect(names()).toEqual([]);
  expect(clock.pendingCount).toBe(0);
});

test("the last keep-alive wins for all; for ever means for ever; none unloads when the last one leaves", async () => {
  const { clock, acquire, names, scheduler } = setUp();
  const loading = acquire(a, { keepAliveMs: FOREVER_MS });
  await clock.advanceAsync(100);
  (await loading).release();
  expect(new Date(scheduler.loadedModels()[0]?.expiresAtMs ?? 0).getUTCFullYear()).toBeGreaterThan(2200);
  const one = await acquire(a, { keepAliveMs: 0 });
  const two = await acquire(a);
  one.release();
  expect(names()).toEqual(["a"]);
  two.release();
  expect(names()).toEqual([]);
});

test("expire lets running requests end and then unloads", async () => {
  const { clock, acquire, scheduler, names } = setUp();
  const loading = acquire(a);
  await clock.advanceAsync(100);
  const lease = await loading;
  scheduler.expire(a);
  expect(names()).toEqual(["a"]);
  lease.release();
  expect(names()).toEqual([]);
});

test("other options wait for the runner to be idle, while requests for the old ones still go in", async () => {
  const { clock, acquire, scheduler } = setUp();
  const loading = acquire(a);
  await clock.advanceAsync(100);
  const lease = await loading;
  const other = watch(acquire(a, { numCtx: 512 }));
  const behind = watch(acquire(b));
  const same = await acquire(a);
  lease.release();
  await clock.advanceAsync(1000);
  expect([other.value, behind.value]).toEqual([undefined, undefined]);
  same.release();
  await clock.advanceAsync(100);
  expect(other.value?.runner.contextLength).toBe(512);
  expect(scheduler.loadedModels()).toHaveLength(1);
});

test("room is made by the idle model with the shortest keep-alive, not the oldest", async () => {
  const { clock, acquire, names } = setUp();
  for (const [model, keepAliveMs] of [
    [a, 900_000],
    [b, 60_000],
    [c, 500_000],
  ] as const) {
    const loading = acquire(model, { keepAliveMs });
    await clock.advanceAsync(100);
    (await loading).release();
  }
  const loading = acquire(d);
  await clock.advanceAsync(100);
  await loading;
  expect(names().sort()).toEqual(["a", "c", "d"]);
});

test("a full queue of loads answers 503, a loaded model never does", async () => {
  const { clock, acquire } = setUp({ maxQueue: 2 });
  const loading = acquire(a);
  await clock.advanceAsync(100);
  await loading;
  const waiting = [watch(acquire(b)), watch(acquire(c)), watch(acquire(d))];
  expect(() => acquire(b)).toThrow(
    new OllamaError(503, "server busy, please try again.  maximum pending requests exceeded"),
  );
  await acquire(a);
  expect(waiting.map((entry) => entry.error)).toEqual([undefined, undefined, undefined]);
});

test("a load that fails takes its time, and the next may succeed", async () => {
  const { clock, acquire, names } = setUp();
  const failing = watch(acquire(a, { loadFailure: new OllamaError(500, "no memory") }));
  await clock.advanceAsync(99);
  expect(failing.error).toBeUndefined();
  await clock.advanceAsync(1);
  expect(failing.error).toMatchObject({ message: "no memory" });
  expect(names()).toEqual([]);
});

test("a dead runner stays listed until somebody wants it, who gets a new one", async () => {
  const { clock, acquire, scheduler, names } = setUp();
  const loading = acquire(a);
  await clock.advanceAsync(100);
  const lease = await loading;
  scheduler.killRunner(a);
  expect([lease.runner.death.aborted, names()]).toEqual([true, ["a"]]);
  lease.release();
  const next = acquire(a);
  await clock.advanceAsync(100);
  expect((await next).runner.death.aborted).toBe(false);
});

test("after a crash nothing is loaded and no timer is left", async () => {
  const { clock, acquire, scheduler, names } = setUp();
  const loading = acquire(a);
  await clock.advanceAsync(100);
  (await loading).release();
  scheduler.forgetAll();
  expect([names(), clock.pendingCount]).toEqual([[], 0]);
});
