import { DroverError, SimClock } from "@drover/platform";
import { beforeEach, describe, expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import type { QueueEntry } from "./queue-entry.ts";
import { type RunnerSpec, runnerSpec } from "./runner-key.ts";
import type { Slot } from "./slots.ts";

const spec = (model: string, optionsJson = "", isEmbedding = false): RunnerSpec =>
  runnerSpec({ model, weightsKey: model, optionsJson, isEmbedding });
const seen = (model: string, contextLength = 4096): LoadedModel => ({
  name: model,
  weightsKey: model,
  contextLength,
  sizeBytes: 1,
  vramBytes: 0,
});
const A = spec("a");
const B = spec("b");

interface Load {
  readonly spec: RunnerSpec;
  readonly done: (seen?: LoadedModel) => Promise<void>;
  readonly fail: (error: Error) => Promise<void>;
}

/** A call in the queue, and what became of it. */
interface Call {
  readonly entry: QueueEntry;
  slot: Slot | undefined;
  error: unknown;
}

describe("the admission queue", () => {
  let clock: SimClock;
  let loads: Load[];
  let queue: AdmissionQueue;
  let changes: number;

  function make(slots = 1, queueLimit = 8): void {
    const load = (loaded: RunnerSpec): Promise<LoadedModel | undefined> => {
      const { promise, resolve, reject } = Promise.withResolvers<LoadedModel | undefined>();
      loads.push({
        spec: loaded,
        done: async (model) => {
          resolve(model);
          await clock.advanceAsync(0);
        },
        fail: async (error) => {
          reject(error);
          await clock.advanceAsync(0);
        },
      });
      return promise;
    };
    queue = new AdmissionQueue(
      { node: "n", slots, queueLimit, queueBytesLimit: 100 },
      { clock, load, onChange: () => changes++ },
    );
  }

  async function enter(wanted: RunnerSpec, bodyBytes = 1): Promise<Call> {
    const call: Call = { entry: queue.enter(wanted, bodyBytes), slot: undefined, error: undefined };
    call.entry.slot.then(
      (slot) => {
        call.slot = slot;
      },
      (error: unknown) => {
        call.error = error;
      },
    );
    await clock.advanceAsync(0);
    return call;
  }

  async function release(call: Call, isRunnerGone = false): Promise<void> {
    call.slot?.release({ isRunnerGone });
    await clock.advanceAsync(0);
  }

  const load = (): { queued: number; active: number } => {
    const { queued, active } = queue.snapshot();
    return { queued, active };
  };

  beforeEach(() => {
    clock = new SimClock();
    loads = [];
    changes = 0;
    make();
  });

  test("loads a cold runner once for all who wait, then grants slots oldest first", async () => {
    const calls = [await enter(A), await enter(A), await enter(A)];
    expect(loads.map((each) => each.spec.key)).toEqual(["a"]);
    expect(load()).toEqual({ queued: 3, active: 0 });
    await loads[0]?.done(seen("a", 8192));
    expect(calls.map((call) => call.slot !== undefined)).toEqual([true, false, false]);
    expect(calls[0]?.slot?.contextLength()).toBe(8192);
    expect(load()).toEqual({ queued: 2, active: 1 });
    for (const call of calls) await release(call);
    expect(load()).toEqual({ queued: 0, active: 0 });
    expect(loads).toHaveLength(1);
  });

  test("runs as many calls of a runner as it has slots, and one of a model that only embeds", async () => {
    make(2);
    const chat = [await enter(A), await enter(A), await enter(A)];
    await loads[0]?.done();
    expect(chat.map((call) => call.slot !== undefined)).toEqual([true, true, false]);
    const embed = [await enter(spec("e", "", true)), await enter(spec("e", "", true))];
    await loads[1]?.done();
    expect(embed.map((call) => call.slot !== undefined)).toEqual([true, false]);
  });

  test("does not let a busy runner hold up calls for another one", async () => {
    const first = await enter(A);
    await loads[0]?.done();
    const second = await enter(A);
    const other = await enter(B);
    await loads[1]?.done();
    expect([first, second, other].map((call) => call.slot !== undefined)).toEqual([true, false, true]);
  });

  test("loads one runner at a time, in the order of those who wait", async () => {
    await enter(A);
    await enter(B);
    await enter(spec("c"));
    expect(loads.map((each) => each.spec.key)).toEqual(["a"]);
    await loads[0]?.done();
    expect(loads.map((each) => each.spec.key)).toEqual(["a", "b"]);
    await loads[1]?.fail(new Error("no"));
    expect(loads.map((each) => each.spec.key)).toEqual(["a", "b", "c"]);
  });

  test("goes on loading when all who wait for it leave, and drops a load that has not begun", async () => {
    const first = await enter(A);
    const second = await enter(B);
    first.entry.leave(new Error("left"));
    second.entry.leave(new Error("left"));
    await clock.advanceAsync(0);
    expect(load()).toEqual({ queued: 0, active: 0 });
    await loads[0]?.done();
    expect(loads).toHaveLength(1);
    expect((await enter(A)).slot).toBeDefined();
  });

  test("tells all who wait when a load fails, and tries again for the next call", async () => {
    const calls = [await enter(A), await enter(A), await enter(B)];
    const error = new DroverError("out_of_memory", "too large");
    await loads[0]?.fail(error);
    expect(calls.map((call) => call.error)).toEqual([error, error, undefined]);
    await loads[1]?.done();
    await enter(A);
    expect(loads.map((each) => each.spec.key)).toEqual(["a", "b", "a"]);
  });

  test("refuses a call over its limit, but not one whose turn it is at once", async () => {
    make(1, 2);
    const running = await enter(A);
    await loads[0]?.done();
    await enter(A);
    await enter(A);
    expect(() => queue.enter(A, 1)).toThrow(/queue of node "n" is full: 2 calls/);
    const refusal = refusalOf(() => queue.enter(B, 1));
    expect([refusal.kind, refusal.retryAfterMs]).toEqual(["queue_full", 1_000]);
    await release(running);
    expect(load()).toEqual({ queued: 1, active: 1 });
  });

  test("refuses a call whose body does not fit beside those that wait, until there is room", async () => {
    const running = await enter(A, 500);
    await loads[0]?.done();
    const waiting = await enter(A, 90);
    expect(refusalOf(() => queue.enter(A, 11)).kind).toBe("queue_full");
    await enter(A, 10);
    waiting.entry.leave(new Error("left"));
    await enter(A, 90);
    await release(running);
    await enter(A, 10);
  });

  test("runs a call with a free slot though calls for other runners fill the queue", async () => {
    make(1, 2);
    const first = await enter(A);
    await loads[0]?.done();
    await release(first);
    await enter(B);
    await enter(B);
    expect((await enter(A)).slot).toBeDefined();
  });

  test("frees a place at once when its call leaves, with the reason it gave", async () => {
    const running = await enter(A);
    await loads[0]?.done();
    const waiting = [await enter(A), await enter(A)];
    const reason = new Error("cancelled");
    waiting[0]?.entry.leave(reason);
    await clock.advanceAsync(0);
    expect(waiting[0]?.error).toBe(reason);
    expect(waiting[1]?.entry.stage()).toEqual({ kind: "queued", ahead: 0 });
    await release(running);
    expect(waiting[1]?.slot).toBeDefined();
    waiting[1]?.entry.leave(reason);
    expect(load()).toEqual({ queued: 0, active: 1 });
  });

  test("says where a call stands, and how long loads take", async () => {
    const first = await enter(A);
    clock.advance(700);
    expect(first.entry.stage()).toEqual({ kind: "loading", elapsedMs: 700, expectedMs: undefined });
    const late = await enter(A);
    clock.advance(300);
    expect([first.entry.loadMs(), late.entry.loadMs()]).toEqual([1_000, 300]);
    await loads[0]?.done();
    clock.advance(50);
    expect([first.entry.loadMs(), late.entry.loadMs()]).toEqual([1_000, 300]);
    expect(late.entry.stage()).toEqual({ kind: "queued", ahead: 0 });
    await release(first, true);
    expect(late.entry.stage()).toEqual({ kind: "loading", elapsedMs: 0, expectedMs: 1_000 });
  });

  test("loads anew after the runner went away with a call", async () => {
    const first = await enter(A);
    await loads[0]?.done();
    await release(first, true);
    expect((await enter(A)).slot).toBeUndefined();
    expect(loads).toHaveLength(2);
  });

  test("knows whether others share the runner", async () => {
    make(2);
    const first = await enter(A);
    await loads[0]?.done();
    expect(first.slot?.isShared()).toBe(false);
    const second = await enter(A);
    expect(first.slot?.isShared()).toBe(true);
    await release(second);
    expect(first.slot?.isShared()).toBe(false);
  });

  test("refuses to take a slot back twice", async () => {
    const first = await enter(A);
    await loads[0]?.done();
    first.slot?.release();
    expect(() => first.slot?.release()).toThrow(/released twice/);
    expect(load()).toEqual({ queued: 0, active: 0 });
  });

  test("refuses all who wait when it closes, and leaves no timer", async () => {
    const big = spec("a", '{"num_ctx":9}');
    const running = await enter(A);
    await loads[0]?.done();
    const waiting = [await enter(A), await enter(big)];
    const reason = new Error("stops");
    queue.close(reason);
    await clock.advanceAsync(0);
    expect(waiting.map((call) => call.error)).toEqual([reason, reason]);
    await release(running);
    expect(clock.pendingCount).toBe(0);
  });

  describe("with two runners of one model, of which Ollama holds one at a time", () => {
    const big = spec("a", '{"num_ctx":9}');

    test("replaces an idle one at once", async () => {
      const first = await enter(A);
      await loads[0]?.done();
      await release(first);
      const other = await enter(big);
      expect(loads.map((each) => each.spec.key)).toEqual(["a", 'a {"num_ctx":9}']);
      await loads[1]?.done();
      expect(other.slot).toBeDefined();
      await release(other);
      await enter(A);
      expect(loads).toHaveLength(3);
    });

    test("serves the one in memory for ten seconds while it has calls, then closes it and loads when it is idle", async () => {
      let running = await enter(A);
      await loads[0]?.done();
      const other = await enter(big);
      const later = [await enter(A), await enter(A)];
      await clock.advanceAsync(9_999);
      await release(running);
      running = later[0] ?? running;
      expect(running.slot).toBeDefined();
      expect(loads).toHaveLength(1);
      await clock.advanceAsync(1);
      expect(loads).toHaveLength(1);
      expect(queue.snapshot().runners).toContainEqual(expect.objectContaining({ optionsJson: "", state: "closing" }));
      await release(running);
      expect(later[1]?.slot).toBeUndefined();
      expect(loads).toHaveLength(2);
      await loads[1]?.done();
      expect(other.slot).toBeDefined();
      expect(later[1]?.slot).toBeUndefined();
    });

    test("does not let the one that waits hold up loads of other models", async () => {
      await enter(A);
      await loads[0]?.done();
      await enter(big);
      await enter(B);
      expect(loads.map((each) => each.spec.key)).toEqual(["a", "b"]);
    });
  });

  describe("told by Ollama what is loaded", () => {
    async function loaded(): Promise<void> {
      const first = await enter(A);
      await loads[0]?.done(seen("a"));
      await release(first);
      clock.advance(10);
    }

    test("takes a runner that is no longer listed for cold", async () => {
      await loaded();
      queue.reconcile([], clock.nowMs());
      expect(queue.snapshot().runners).toEqual([]);
      await enter(A);
      expect(loads).toHaveLength(2);
    });

    test("keeps a runner that was loaded after Ollama was asked", async () => {
      await loaded();
      queue.reconcile([], clock.nowMs() - 11);
      expect((await enter(A)).slot).toBeDefined();
    });

    test("keeps a busy runner whatever Ollama says", async () => {
      const first = await enter(A);
      await loads[0]?.done();
      clock.advance(10);
      queue.reconcile([], clock.nowMs());
      expect(queue.snapshot().runners).toMatchObject([{ model: "a", state: "loaded", active: 1 }]);
      await release(first);
      expect((await enter(A)).slot).toBeDefined();
    });

    test("takes a runner with another context for another runner", async () => {
      await loaded();
      queue.reconcile([seen("a", 9)], clock.nowMs());
      await enter(A);
      expect(loads).toHaveLength(2);
    });

    test("lists what others loaded, and makes sure of it before the first call", async () => {
      queue.reconcile([seen("x", 77)], clock.nowMs());
      expect(queue.snapshot().runners).toMatchObject([
        { model: "x", state: "loaded", active: 0, seen: { contextLength: 77 } },
      ]);
      await enter(spec("x"));
      expect(loads).toHaveLength(1);
      expect(queue.snapshot().runners).toMatchObject([{ model: "x", state: "loading", queued: 1 }]);
    });
  });

  test("keeps its books over thousands of random events", async () => {
    make(2, 6);
    const specs = [A, B, spec("a", '{"num_ctx":9}')];
    const calls: Call[] = [];
    let random = 7;
    const draw = (below: number): number => {
      random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor(random / 65_536) % below;
    };
    for (let step = 0; step < 3_000; step++) {
      const action = draw(6);
      const wanted = specs[draw(3)];
      if (action < 2 && wanted !== undefined)
        await enter(wanted).then(
          (call) => calls.push(call),
          () => undefined,
        );
      const held = calls.findIndex((call) => call.slot !== undefined);
      if (action === 2 && held >= 0) await release(calls.splice(held, 1)[0] as Call, draw(8) === 0);
      if (action === 3) calls[draw(calls.length || 1)]?.entry.leave(new Error("left"));
      if (action === 4) await loads.shift()?.[draw(5) === 0 ? "fail" : "done"](undefined as never);
      if (action === 5) await clock.advanceAsync(draw(4_000));
      await clock.advanceAsync(0);
      const held2 = calls.filter((call) => call.slot !== undefined).length;
      const { runners, active, queued } = queue.snapshot();
      expect(active).toBe(held2);
      expect(runners.reduce((sum, runner) => sum + runner.active, 0)).toBe(active);
      for (const runner of runners) expect(runner.active).toBeLessThanOrEqual(2);
      expect(queued).toBeLessThanOrEqual(6);
      expect(loads.length).toBeLessThanOrEqual(1);
      for (let i = calls.length - 1; i >= 0; i--) if (calls[i]?.error !== undefined) calls.splice(i, 1);
    }
    for (let i = 0; i < 200 && load().queued + load().active > 0; i++) {
      await loads.shift()?.done();
      for (const call of calls.splice(0)) call.slot === undefined ? calls.push(call) : await release(call);
      await clock.advanceAsync(11_000);
    }
    expect(load()).toEqual({ queued: 0, active: 0 });
    expect(changes).toBeGreaterThan(0);
  });
});

function refusalOf(action: () => unknown): DroverError {
  try {
    action();
  } catch (error) {
    if (error instanceof DroverError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}
