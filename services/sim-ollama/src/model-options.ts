/**
 * The `options` of a request: their types, their defaults and Ollama's complaints about them.
 * Source: api.Options.FromMap and api.DefaultOptions of 0.24.0.
 */
import { OllamaError } from "./ollama-error.ts";

/** Another value of one of these makes Ollama load the model anew. */
export interface RunnerOptions {
  readonly numCtx: number;
  readonly numBatch: number;
  /** Negative: Ollama decides, and it never counts as a difference. */
  readonly numGpu: number;
  readonly mainGpu: number;
  readonly useMmap: boolean | undefined;
  readonly numThread: number;
}

export interface ModelOptions {
  readonly runner: RunnerOptions;
  readonly numKeep: number;
  /** Negative: none given. */
  readonly seed: number;
  /** Negative: as many as ten contexts hold. */
  readonly numPredict: number;
  readonly temperature: number;
  readonly stop: readonly string[];
}

type OptionType = "integer" | "float32" | "boolean" | "array";

const OPTION_TYPES: Readonly<Record<string, OptionType>> = {
  num_ctx: "integer",
  num_batch: "integer",
  num_gpu: "integer",
  main_gpu: "integer",
  use_mmap: "boolean",
  num_thread: "integer",
  num_keep: "integer",
  seed: "integer",
  num_predict: "integer",
  top_k: "integer",
  top_p: "float32",
  min_p: "float32",
  typical_p: "float32",
  repeat_last_n: "integer",
  temperature: "float32",
  repeat_penalty: "float32",
  presence_penalty: "float32",
  frequency_penalty: "float32",
  stop: "array",
};

/** Ollama raises anything smaller to this. */
const SMALLEST_CONTEXT = 4;

/** A wrong type is a 500, because Ollama finds it only when it schedules the runner. */
export function parseModelOptions(options: Readonly<Record<string, unknown>>, defaultContext: number): ModelOptions {
  for (const [key, value] of Object.entries(options)) checkType(key, value);
  const integer = (key: string, fallback: number): number => {
    const value = options[key];
    return typeof value === "number" ? Math.trunc(value) : fallback;
  };
  const useMmap = options["use_mmap"];
  const temperature = options["temperature"];
  const stop = options["stop"];
  return {
    runner: {
      numCtx: Math.max(integer("num_ctx", defaultContext), SMALLEST_CONTEXT),
      numBatch: integer("num_batch", 512),
      numGpu: integer("num_gpu", -1),
      mainGpu: integer("main_gpu", 0),
      useMmap: typeof useMmap === "boolean" ? useMmap : undefined,
      numThread: integer("num_thread", 0),
    },
    numKeep: integer("num_keep", 4),
    seed: integer("seed", -1),
    numPredict: integer("num_predict", -1),
    temperature: typeof temperature === "number" ? temperature : 0.8,
    stop: Array.isArray(stop) ? stop.filter((item) => typeof item === "string") : [],
  };
}

export function areRunnerOptionsEqual(loaded: RunnerOptions, wanted: RunnerOptions): boolean {
  return (
    loaded.numCtx === wanted.numCtx &&
    loaded.numBatch === wanted.numBatch &&
    (wanted.numGpu < 0 || loaded.numGpu === wanted.numGpu) &&
    loaded.mainGpu === wanted.mainGpu &&
    loaded.useMmap === wanted.useMmap &&
    loaded.numThread === wanted.numThread
  );
}

function checkType(key: string, value: unknown): void {
  const type = OPTION_TYPES[key];
  if (type === undefined || value === null) return;
  if (type === "array") {
    checkArray(key, value);
    return;
  }
  const expected = type === "boolean" ? "boolean" : "number";
  if (typeof value !== expected) throw new OllamaError(500, `option "${key}" must be of type ${type}`);
}

function checkArray(key: string, value: unknown): void {
  if (!Array.isArray(value)) throw new OllamaError(500, `option "${key}" must be of type array`);
  if (!value.every((item) => typeof item === "string")) {
    throw new OllamaError(500, `option "${key}" must be of an array of strings`);
  }
}
