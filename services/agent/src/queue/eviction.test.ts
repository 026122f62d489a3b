/** Who makes room for whom, against an Ollama in memory that decides as server/sched.go does and is read as it can be. */
import { SimClock, seededRng, sleep } from "@drover/platform";
import { describe, expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { type RunnerSpec, runnerSpec } from "./runner-key.ts";
import type { Slot } from "./slots.ts";

const specOf = (model: string): RunnerSpec =>
  runnerSpec({ weightsKey: model, model, optionsJson: "", isEmbedding: false, sizeBytes: 90 });

/** Loads one after another, unloads an idle model for another, waits for one that is not idle, and tells nobody. */
class Ollama {
  readonly #clock: SimClock;
  readonly #most: number;
  readonly loads: string[] = [];
  /** Running requests by model. */
  readonly loaded = new Map<string, number>();
  /** Requests that went to a model that was not there: each makes Ollama load it behind the agent's back. */
  misses = 0;
  #last = Promise.resolve();

  constructor(clock: SimClock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  list(): LoadedModel[] {
    return [...this.loaded.keys()].map((name) => ({
      ...{ name, weightsKey: name, contextLength: 4096, sizeBytes: 100, vramBytes: 0 },
    }));
  }

  load(model: string, evicted: readonly string[]): Promise<void> {
    for (const victim of evicted) if (this.loaded.get(victim) === 0) this.loaded.delete(victim);
    this.loads.push(model);
    return this.#inTurn(model);
  }

  async run(model: string, ms: number): Promise<void> {
    if (!this.loaded.has(model)) {
      this.misses++;
      await this.#inTurn(model);
    }
    this.loaded.set(model, (this.loaded.get(model) ?? 0) + 1);
    await sleep(this.#clock, ms);
    this.loaded.set(model, (this.loaded.get(model) ?? 1) - 1);
  }

  #inTurn(model: string): Promise<void> {
    this.#last = this.#last.then(() => this.#load(model));
    return this.#last;
  }

  async #load(model: string): Promise<void> {
    if (this.loaded.has(model)) return;
    while (this.loaded.size >= this.#most) {
      const idle = [...this.loaded].find(([, running]) => running === 0);
      if (idle !== undefined) this.loaded.delete(idle[0]);
      else await sleep(this.#clock, 10);
    }
    await sleep(this.#clock, 2_000);
    this.loaded.set(model, 0);
  }
}

function bench({ most = 1, slots = 1 } = {}) {
  const clock = new SimClock();
  const ollama = new Ollama(clock, most);
  const queue = new AdmissionQueue(
    { node: "n", slots, queueLimit: 1_000, queueBytesLimit: 10_000 },
    {
      clock,
      load: async ({ model }, evicted) => {
        await ollama.load(
          model,
          evicted.map((victim) => victim.model),
        );
        queue.reconcile(ollama.list(), clock.nowMs());
        return ollama.list().find(({ name }) => name === model);
      },
      onChange: () => undefined,
    },
  );
  const poll = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, 2_000);
      queue.reconcile(ollama.list(), clock.nowMs());
    }
  };
  void poll();
  /** One call; resolves when it has ended. */
  const call = async (model: string, ms: number): Promise<void> => {
    const slot = await queue.enter(specOf(model), 1).slot;
    await ollama.run(model, ms);
    slot.release();
  };
  /** Calls without a pause between them until `untilMs`; counts those that have ended. */
  const client = (model: string, ms: () => number, untilMs: number): { ended: number } => {
    const count = { ended: 0 };
    const go = async (): Promise<void> => {
      while (clock.nowMs() < untilMs) {
        await call(model, ms());
        count.ended++;
      }
    };
    void go();
    return count;
  };
  const advance = (ms: number): Promise<void> => clock.advanceAsync(ms);
  return { clock, ollama, queue, call, client, advance };
}

/** Teaches the agent that only one model fits. */
async function taught(options: { most?: number; slots?: number } = {}) {
  const all = bench(options);
  void all.call("a", 10);
  await all.advance(5_000);
  void all.call("b", 10);
  await all.advance(5_000);
  expect([...all.ollama.loaded.keys()]).toEqual(["b"]);
  all.ollama.loads.length = 0;
  return all;
}

describe("an Ollama with room for one model", () => {
  test("an idle runner makes room at once", async () => {
    const { ollama, call, advance } = await taught();
    const ended = call("a", 10);
    await advance(2_100);
    await ended;
    expect(ollama.loads).toEqual(["a"]);
  });

  test("a busy runner is served for ten seconds, then takes no new calls and makes room when its last one ends", async () => {
    const { ollama, queue, client, call, advance, clock } = await taught({ slots: 2 });
    const busy = [client("b", () => 1_500, 60_000), client("b", () => 2_500, 60_000)];
    await advance(1_000);
    const enteredAtMs = clock.nowMs();
    let endedAtMs = 0;
    void call("a", 10).then(() => {
      endedAtMs = clock.nowMs();
    });
    await advance(9_900);
    expect(ollama.loads).toEqual([]);
    expect(queue.snapshot().runners).toMatchObject([{ model: "b", state: "loaded", active: 2 }]);
    await advance(200);
    expect(queue.snapshot().runners).toContainEqual(expect.objectContaining({ model: "b", state: "closing" }));
    await advance(5_000);
    expect(endedAtMs - enteredAtMs).toBeGreaterThan(12_000);
    expect(endedAtMs - enteredAtMs).toBeLessThan(15_000);
    expect(ollama.misses).toBe(0);
    // It is asked on, so it comes back.
    await advance(10_000);
    expect(ollama.loads).toEqual(["a", "b"]);
    expect(busy[0]?.ended).toBeGreaterThan(8);
  });

  test("a runner opens again when the call that waits for its place leaves", async () => {
    const { ollama, queue, call, advance } = await taught();
    void call("b", 20_000);
    await advance(0);
    const waiting = queue.enter(specOf("a"), 1);
    waiting.slot.catch(() => undefined);
    await advance(11_000);
    expect(queue.snapshot().runners).toMatchObject([{ state: "closing" }]);
    waiting.leave(new Error("left"));
    const next = call("b", 10);
    await advance(10_000);
    await next;
    expect(ollama.loads).toEqual([]);
  });

  test.each([1, 2, 3])("two models that are asked all the time both get on, seed %i", async (seed) => {
    const rng = seededRng(seed);
    const { ollama, client, advance } = bench({ slots: 2 });
    const untilMs = 600_000;
    const length = (): number => 200 + rng.next() * 3_000;
    const clients = ["a", "a", "a", "b", "b", "b"].map((model) => client(model, length, untilMs));
    await advance(untilMs + 60_000);
    for (const { ended } of clients) expect(ended).toBeGreaterThan(50);
    // A turn takes ten seconds, what still runs at its end, and the load.
    expect(ollama.loads.length).toBeGreaterThan(30);
    expect(ollama.loads.length).toBeLessThan(60);
    expect(ollama.misses).toBeLessThan(10);
  });

  test("a load that Ollama holds up for a runner that is asked on and on gets its place, also while nothing is learned", async () => {
    const { ollama, client, call, advance } = bench({ slots: 2 });
    client("a", () => 3_000, 120_000);
    await advance(3_500);
    client("a", () => 3_000, 120_000);
    await advance(10_000);
    let isEnded = false;
    void call("b", 10).then(() => {
      isEnded = true;
    });
    await advance(9_000);
    expect(isEnded).toBe(false);
    await advance(9_000);
    expect(isEnded).toBe(true);
    expect(ollama.loads.slice(0, 2)).toEqual(["a", "b"]);
  });
});

describe("an Ollama with room for two models", () => {
  test("nothing makes way for what has room, however long its load takes", async () => {
    const { ollama, queue, client, advance, clock } = bench({ most: 2 });
    const busy = client("a", () => 1_000, 100_000);
    await advance(5_000);
    ollama.load = async (model) => {
      ollama.loads.push(model);
      await sleep(clock, 60_000);
      ollama.loaded.set(model, 0);
    };
    const before = busy.ended;
    const slot = queue.enter(specOf("b"), 1).slot;
    await advance(60_000);
    (await slot).release();
    // It stands aside for three seconds once, since nobody can know.
    expect(busy.ended - before).toBeGreaterThan(54);
    expect([...ollama.loaded.keys()]).toEqual(["a", "b"]);
  });

  test("the idle one goes that was asked for longest ago, and what is asked for stays", async () => {
    const { ollama, call, advance } = bench({ most: 2 });
    for (const model of ["a", "b", "c"]) {
      void call(model, 10);
      await advance(5_000);
    }
    const [first, second] = [...ollama.loaded.keys()] as [string, string];
    void call(first, 10);
    await advance(100);
    void call("d", 10);
    await advance(5_000);
    expect([...ollama.loaded.keys()]).toEqual([first, "d"]);
    expect(second).toBeDefined();
    void call(first, 60_000);
    void call("e", 10);
    await advance(5_000);
    expect([...ollama.loaded.keys()]).toEqual([first, "e"]);
  });
});

test("nothing is left after a thousand random calls of which many leave: no slot, no place, no timer", async () => {
  const clock = new SimClock();
  const rng = seededRng(8);
  const queue = new AdmissionQueue(
    { node: "n", slots: 2, queueLimit: 6, queueBytesLimit: 5_000 },
    {
      clock,
      load: async ({ model }) => {
        await sleep(clock, rng.next() * 4_000);
        if (rng.next() < 0.1) throw new Error("load failed");
        return { name: model, weightsKey: model, contextLength: 4096, sizeBytes: 100, vramBytes: 0 };
      },
      onChange: () => undefined,
    },
  );
  const ends = { ran: 0, left: 0, refused: 0 };
  const hold = async (slot: Slot): Promise<void> => {
    await sleep(clock, rng.next() * 3_000);
    if (rng.next() < 0.5) slot.firstToken();
    slot.release({ isCut: rng.next() < 0.4, isRunnerGone: rng.next() < 0.1 });
    ends.ran++;
  };
  const call = async (): Promise<void> => {
    const model = `m${Math.floor(rng.next() * 5)}`;
    const optionsJson = rng.next() < 0.3 ? '{"num_ctx":9}' : "";
    const spec = runnerSpec({ weightsKey: model, model, optionsJson, isEmbedding: false });
    const entry = queue.enter(spec, 1 + Math.floor(rng.next() * 100), { promptBytes: rng.next() * 20_000 });
    const patience = clock.after(rng.next() * 20_000, () => entry.leave(new Error("left")));
    try {
      await hold(await entry.slot);
    } catch {
      ends.left++;
    } finally {
      patience.cancel();
    }
  };
  for (let i = 0; i < 1_000; i++) {
    void call().catch(() => ends.refused++);
    await clock.advanceAsync(rng.next() * 1_500);
  }
  await clock.advanceAsync(600_000);
  expect(ends.ran + ends.left + ends.refused).toBe(1_000);
  expect(Math.min(ends.ran, ends.left, ends.refused)).toBeGreaterThan(20);
  const { active, queued, runners } = queue.snapshot();
  expect([active, queued]).toEqual([0, 0]);
  for (const runner of runners) expect(runner).toMatchObject({ active: 0, queued: 0, state: "loaded" });
  expect(clock.pendingCount).toBe(0);
});
