/**
 * Ollama's `options` as the members of a JSON object, and the part of them that belongs to the runner: another value there
 * means another runner. Values stay text, so that what the agent does not know passes through unchanged.
 */
import { DroverError } from "@drover/platform";
import type { Options } from "@drover/proto/drover/inference/v1/inference_pb";
import { type JsonMember, objectMembers } from "./json-text.ts";

/** Option name to the JSON text of its value. */
export type OllamaOptions = ReadonlyMap<string, string>;

/** A change of these loads the model anew (server/sched.go needsReload). `shift` is no option but a field beside them. */
const RUNNER_OPTIONS: ReadonlySet<string> = new Set([
  "draft_num_predict",
  "main_gpu",
  "num_batch",
  "num_ctx",
  "num_gpu",
  "num_thread",
  "use_mmap",
]);

/**
 * What Ollama takes without them (api.DefaultOptions), and any negative num_gpu: named or not, it is the same runner. A
 * model whose own parameters differ is loaded anew by Ollama when a caller names one of these.
 */
const DEFAULTS: ReadonlyMap<string, number> = new Map([
  ["main_gpu", 0],
  ["num_batch", 512],
  ["num_thread", 0],
]);

/** The options of a request. `defaultNumCtx` is the operator's --num-ctx, for callers that name none. */
export function ollamaOptions(options: Options | undefined, defaultNumCtx: number | undefined): OllamaOptions {
  const members = new Map<string, string>();
  const extra = extraMembers(options?.extraOptionsJson ?? "", "options.extra_options_json");
  for (const { key, text } of extra) members.set(key, text);
  if (options !== undefined) addTyped(members, options);
  if (defaultNumCtx !== undefined && !members.has("num_ctx")) members.set("num_ctx", String(defaultNumCtx));
  return members;
}

/** The members of a caller's JSON object; none for an empty text. Throws with the field's name when it is no JSON object. */
export function extraMembers(text: string, field: string): readonly JsonMember[] {
  if (text.trim() === "") return [];
  checkJson(text, field);
  const members = objectMembers(text);
  if (members === undefined) throw wrongJson(field, "must be a JSON object");
  return members;
}

/** Throws with the field's name when `text` is no JSON. */
export function checkJson(text: string, field: string): void {
  try {
    JSON.parse(text);
  } catch {
    // Without the cause, which goes to logs: V8's SyntaxError quotes what the caller wrote.
    throw wrongJson(field, "is not valid JSON");
  }
}

/**
 * The load-time options as canonical JSON: sorted keys; nulls, which Ollama ignores, and its defaults left out. Empty when there are none:
 * the model's default runner. `shift` counts only when it is false, as true is what Ollama takes without it.
 */
export function runnerOptionsJson(options: OllamaOptions, shift?: boolean): string {
  const members = [...options]
    .filter(([key, text]) => RUNNER_OPTIONS.has(key) && text !== "null")
    .map(([key, text]) => [key, JSON.parse(text) as unknown] as const)
    .filter(([key, value]) => !isDefault(key, value))
    .map(([key, value]) => [key, JSON.stringify(value)] as const);
  if (shift === false) members.push(["shift", "false"]);
  if (members.length === 0) return "";
  members.sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
}

function isDefault(key: string, value: unknown): boolean {
  if (key === "num_gpu") return typeof value === "number" && value < 0;
  return value === DEFAULTS.get(key);
}

function addTyped(members: Map<string, string>, options: Options): void {
  const whole = { num_keep: options.numKeep, seed: options.seed, num_predict: options.numPredict, top_k: options.topK };
  const real = {
    top_p: options.topP,
    min_p: options.minP,
    typical_p: options.typicalP,
    temperature: options.temperature,
    repeat_penalty: options.repeatPenalty,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
  };
  const runner = {
    repeat_last_n: options.repeatLastN,
    num_ctx: options.numCtx,
    num_batch: options.numBatch,
    num_gpu: options.numGpu,
    main_gpu: options.mainGpu,
    use_mmap: options.useMmap,
    num_thread: options.numThread,
    draft_num_predict: options.draftNumPredict,
  };
  for (const [key, value] of Object.entries({ ...whole, ...runner }))
    if (value !== undefined) members.set(key, String(value));
  for (const [key, value] of Object.entries(real))
    if (value !== undefined) members.set(key, shortestFloat32(value, key));
  if (options.stop.length > 0) members.set("stop", JSON.stringify(options.stop));
}

/** A protobuf float 0.7 reads as 0.699999988079071; the shortest text with the same 32 bits is what the caller wrote. */
function shortestFloat32(value: number, key: string): string {
  if (!Number.isFinite(value)) {
    throw new DroverError("malformed_request", `The field options.${key} must be a finite number.`, {
      facts: { field: `options.${key}` },
    });
  }
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(value);
}

function wrongJson(field: string, problem: string): DroverError {
  return new DroverError("malformed_request", `The field ${field} ${problem}.`, { facts: { field } });
}
