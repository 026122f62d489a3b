/** Which calls share a runner though they ask for it in different words. */
import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import { AdmissionQueue } from "./admission-queue.ts";
import { runnerSpec } from "./runner-key.ts";

const LOADED = { name: "m", weightsKey: "m", contextLength: 4096, sizeBytes: 1, vramBytes: 0 };
const specOf = (optionsJson: string) => runnerSpec({ weightsKey: "m", model: "m", optionsJson, isEmbedding: false });

async function loadsOf(...options: string[]): Promise<string[]> {
  const clock = new SimClock();
  const loads: string[] = [];
  const queue = new AdmissionQueue(
    { node: "n", slots: 1, queueLimit: 9, queueBytesLimit: 100 },
    {
      clock,
      load: ({ optionsJson }) => {
        loads.push(optionsJson);
        return Promise.resolve(LOADED);
      },
      onChange: () => undefined,
    },
  );
  for (const optionsJson of options) {
    const entry = queue.enter(specOf(optionsJson), 1);
    await clock.advanceAsync(0);
    (await entry.slot).release();
  }
  return loads;
}

test("who names the context that is loaded shares the runner with who names none", async () => {
  expect(await loadsOf("", '{"num_ctx":4096}', "")).toEqual([""]);
  expect(await loadsOf('{"num_batch":8}', '{"num_batch":8,"num_ctx":4096}')).toEqual(['{"num_batch":8}']);
});

test.each([
  ["another context", '{"num_ctx":8192}'],
  ["the same context with another option", '{"num_batch":8,"num_ctx":4096}'],
  ["a context that is no number", '{"num_ctx":"4096"}'],
])("who names %s gets a runner of its own", async (_, options) => {
  expect(await loadsOf("", options)).toEqual(["", options]);
});

test("a named context is loaded as it is named while nothing is known of the model's own", async () => {
  expect(await loadsOf('{"num_ctx":4096}')).toEqual(['{"num_ctx":4096}']);
});

test("two names of the same weights share the slots of one runner, and a name with parameters of its own has another", async () => {
  const clock = new SimClock();
  const loads: string[] = [];
  const queue = new AdmissionQueue(
    { node: "n", slots: 2, queueLimit: 9, queueBytesLimit: 100 },
    {
      clock,
      load: ({ model }) => {
        loads.push(model);
        return Promise.resolve({ ...LOADED, name: model });
      },
      onChange: () => undefined,
    },
  );
  const named = (model: string, modelOptionsJson = "", optionsJson = "") =>
    queue.enter(runnerSpec({ weightsKey: "m", model, optionsJson, modelOptionsJson, isEmbedding: false }), 1);
  const granted: string[] = [];
  const enter = async (...wish: Parameters<typeof named>): Promise<void> => {
    void named(...wish).slot.then(() => granted.push(wish[0]));
    await clock.advanceAsync(0);
  };
  await enter("a");
  await enter("b");
  await enter("a");
  expect([loads, granted]).toEqual([["a"], ["a", "b"]]);
  expect(queue.snapshot().runners).toMatchObject([{ weightsKey: "m", active: 2, queued: 1 }]);
  await enter("large", '{"num_ctx":8192}');
  await enter("a", "", '{"num_ctx":8192}');
  await enter("large", '{"num_ctx":8192}', '{"num_ctx":4096}');
  expect(queue.snapshot().queued).toBe(4);
  // The last one overrides its model's parameter by the context that is loaded: it waits with the third call.
  expect(queue.snapshot().runners).toMatchObject([{ active: 2, queued: 2 }]);
  expect(loads).toEqual(["a"]);
});
