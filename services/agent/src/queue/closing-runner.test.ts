import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import type { LoadedModel } from "../status/node-load.ts";
import { AdmissionQueue } from "./admission-queue.ts";
import { type RunnerSpec, runnerSpec } from "./runner-key.ts";

const LOADED: LoadedModel = { name: "m", weightsKey: "m", contextLength: 4096, sizeBytes: 1, vramBytes: 0 };
const SMALL = runnerSpec({ weightsKey: "m", model: "m", optionsJson: "", isEmbedding: false });
const LARGE = runnerSpec({ weightsKey: "m", model: "m", optionsJson: '{"num_ctx":8192}', isEmbedding: false });

function bench(load: () => Promise<LoadedModel> = () => Promise.resolve(LOADED)) {
  const clock = new SimClock();
  const loads: RunnerSpec[] = [];
  const queue = new AdmissionQueue(
    { node: "n", slots: 1, queueLimit: 1_000, queueBytesLimit: 10_000 },
    {
      clock,
      load: (spec) => {
        loads.push(spec);
        return load();
      },
      onChange: () => undefined,
    },
  );
  const enter = async (spec: RunnerSpec) => {
    const entry = queue.enter(spec, 1);
    const slot = entry.slot.catch(() => undefined);
    await clock.advanceAsync(0);
    return { entry, slot };
  };
  return { clock, loads, queue, enter };
}

test("a runner that was closed for a call opens again when that call leaves", async () => {
  const { clock, loads, queue, enter } = bench();
  const running = await (await enter(SMALL)).slot;
  const { entry: closer } = await enter(LARGE);
  await clock.advanceAsync(11_000);
  expect(queue.snapshot().runners[0]?.state).toBe("closing");
  closer.leave(new Error("left"));
  running?.release();
  expect(await (await enter(SMALL)).slot).toBeDefined();
  expect(loads).toEqual([SMALL]);
});

test("a runner that was closed for a call gives way to it when its last call ends", async () => {
  const { clock, loads, enter } = bench();
  const running = await (await enter(SMALL)).slot;
  const large = await enter(LARGE);
  await clock.advanceAsync(11_000);
  running?.release();
  expect(await large.slot).toBeDefined();
  expect(loads).toEqual([SMALL, LARGE]);
});

test("a call that ends while another model loads leaves no timer behind a closed queue", async () => {
  const { clock, queue, enter } = bench(() => new Promise(() => undefined));
  void (await enter(SMALL));
  queue.close(new Error("stops"));
  // As a running call's end does.
  queue.reconcile([], clock.nowMs());
  expect(clock.pendingCount).toBe(0);
});

test("a runner that calls wait for is never forgotten, however many others are asked for", async () => {
  const { queue, loads, clock } = bench();
  const specs = Array.from({ length: 300 }, (_, i) =>
    runnerSpec({ weightsKey: `m${i}`, model: `m${i}`, optionsJson: "", isEmbedding: false }),
  );
  const entries = specs.map((spec) => queue.enter(spec, 1));
  const again = specs.map((spec) => queue.enter(spec, 1));
  for (const { slot } of [...entries, ...again]) void slot.then((granted) => granted.release());
  await clock.advanceAsync(10);
  expect(loads.map((spec) => spec.key).sort()).toEqual(specs.map((spec) => spec.key).sort());
});
