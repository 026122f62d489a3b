import { expect, test } from "vitest";
import { areRunnerOptionsEqual, parseModelOptions } from "./model-options.ts";

test("what is left out has Ollama's defaults", () => {
  expect(parseModelOptions({}, 4096)).toEqual({
    runner: { numCtx: 4096, numBatch: 512, numGpu: -1, mainGpu: 0, useMmap: undefined, numThread: 0 },
    numKeep: 4,
    seed: -1,
    numPredict: -1,
    temperature: 0.8,
    stop: [],
  });
});

test("fractions of integers are cut, a tiny context is raised, null and unknown names are passed over", () => {
  const options = parseModelOptions({ num_predict: 2.9, num_ctx: 1, seed: null, nonsense: "x" }, 4096);
  expect([options.numPredict, options.runner.numCtx, options.seed]).toEqual([2, 4, -1]);
});

test("options that shape the runner make another one, sampling does not", () => {
  const runner = (options: Record<string, unknown>) => parseModelOptions(options, 4096).runner;
  expect(areRunnerOptionsEqual(runner({}), runner({ temperature: 0, seed: 1, num_ctx: 4096 }))).toBe(true);
  for (const key of ["num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread"]) {
    expect(areRunnerOptionsEqual(runner({}), runner({ [key]: 7 }))).toBe(false);
  }
  expect(areRunnerOptionsEqual(runner({}), runner({ use_mmap: false }))).toBe(false);
  expect(areRunnerOptionsEqual(runner({ num_gpu: 3 }), runner({ num_gpu: -1 }))).toBe(true);
});
