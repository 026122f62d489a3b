/**
 * What generate and chat have in common: the fields both know, whether the model can do what is asked, getting it
 * loaded, and the stream of pieces that comes of it. Order of checks as in server/routes.go, because callers see it.
 */
import { type CompletionEvent, runCompletion } from "../completion.ts";
import { breakEvents } from "../fault-injection.ts";
import { type FieldReader, isObject, type JsonObject } from "../http/request-body.ts";
import { parseKeepAlive } from "../keep-alive.ts";
import type { Capability, Model } from "../model-catalog.ts";
import { type ModelOptions, parseModelOptions } from "../model-options.ts";
import { readModelReference } from "../model-reference.ts";
import { capabilityMissing, errorTexts, featureMissing, modelNotFound, OllamaError } from "../ollama-error.ts";
import type { RunnerLease } from "../scheduling/scheduler.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { FREE_JSON_SCHEMA, writeJson } from "../text/json-writer.ts";
import { tokenize } from "../text/tokenizer.ts";
import { createWriter, type Writer } from "../text/writer.ts";

export interface InferenceRequest {
  /** The model as the caller wrote it; answers repeat it. */
  readonly requested: string;
  readonly isStreaming: boolean;
  readonly keepAliveMs: number | undefined;
  readonly rawOptions: JsonObject;
  readonly format: unknown;
  /** Undefined: not said. */
  readonly think: boolean | undefined;
  readonly isTruncating: boolean;
  readonly isShifting: boolean;
  readonly hasLogprobs: boolean;
  readonly topLogprobs: number;
  readonly isRenderOnly: boolean;
}

export function readInferenceRequest(body: JsonObject, fields: FieldReader): InferenceRequest {
  const topLogprobs = fields.integer("top_logprobs") ?? 0;
  const request = {
    requested: fields.text("model"),
    isStreaming: fields.flag("stream") ?? true,
    keepAliveMs: parseKeepAlive(body["keep_alive"]),
    rawOptions: fields.object("options"),
    format: body["format"],
    think: readThink(body["think"]),
    isTruncating: fields.flag("truncate") ?? true,
    isShifting: fields.flag("shift") ?? true,
    hasLogprobs: fields.flag("logprobs") ?? false,
    topLogprobs,
    isRenderOnly: fields.flag("_debug_render_only") ?? false,
  };
  if (topLogprobs < 0 || topLogprobs > 20) throw new OllamaError(400, errorTexts.topLogprobs);
  return request;
}

/** Throws `missing` for an empty name, because generate and chat word that differently. */
export function findModel(requested: string, simulation: Simulation, missing: OllamaError): Model {
  const reference = readModelReference(requested);
  if (reference.kind === "missing") throw missing;
  if (reference.kind === "invalid") throw new OllamaError(400, errorTexts.invalidModelName);
  if (reference.kind === "conflicting-source") throw new OllamaError(400, reference.message);
  if (reference.name.source === "cloud") throw new OllamaError(403, errorTexts.cloudDisabled);
  const model = simulation.catalog.find(reference.key);
  if (model === undefined) throw modelNotFound(requested);
  return model;
}

/** A thinking model thinks unless told not to; any other must not be told to. */
export function resolveThink(model: Model, request: InferenceRequest): boolean | undefined {
  if (model.capabilities.includes("thinking")) return request.think ?? true;
  if (request.think === true) throw featureMissing(request.requested, "thinking");
  return request.think;
}

export function requireCapabilities(
  model: Model,
  request: InferenceRequest,
  route: "chat" | "generate",
  wanted: readonly Capability[],
): void {
  if (!model.capabilities.includes("completion")) throw featureMissing(request.requested, route);
  const missing = wanted.filter((capability) => !model.capabilities.includes(capability));
  if (missing.length > 0) throw capabilityMissing(model.name, missing);
}

export interface LoadedRequest {
  readonly lease: RunnerLease;
  readonly options: ModelOptions;
  /** From the arrival to the grant. */
  readonly loadMs: number;
}

export async function loadModel(
  model: Model,
  request: Pick<InferenceRequest, "rawOptions" | "keepAliveMs">,
  exchange: Exchange,
  simulation: Simulation,
): Promise<LoadedRequest> {
  const options = parseModelOptions(request.rawOptions, simulation.settings.context);
  const failure = exchange.plan.get("load-failure");
  const lease = await simulation.scheduler.acquire({
    model,
    options: options.runner,
    keepAliveMs: request.keepAliveMs,
    signal: exchange.reply.signal,
    onLoading: () => exchange.record.phase("loading"),
    loadFailure: failure && new OllamaError(500, failure.message ?? errorTexts.outOfMemory),
  });
  return { lease, options, loadMs: simulation.clock.nowMs() - exchange.arrivedAtMs };
}

export interface CompletionInput {
  readonly request: InferenceRequest;
  readonly model: Model;
  readonly loaded: LoadedRequest;
  readonly prompt: string;
  /** Said instead of invented text, as for a tool call. */
  readonly script: string | undefined;
}

/** Throws at once for a `format` that Ollama refuses. */
export function complete(
  input: CompletionInput,
  exchange: Exchange,
  simulation: Simulation,
): AsyncGenerator<CompletionEvent> {
  const schema = readFormat(input.request.format);
  const { lease, options } = input.loaded;
  const events = runCompletion(
    {
      runner: lease.runner,
      prompt: input.prompt,
      options,
      isTruncating: input.request.isTruncating,
      isShifting: input.request.isShifting,
      openWriter: (prompt) =>
        exchange.plan.get("repeat") ? REPEATING : openWriter({ ...input, prompt }, schema, simulation),
      signal: exchange.reply.signal,
      onPhase: (phase) => exchange.record.phase(phase),
      extraPrefillMs: exchange.plan.get("slow-first-token")?.delayMs ?? 0,
    },
    simulation.pace,
  );
  return breakEvents(events, exchange.plan.breaking, {
    exchange,
    killRunner: () => simulation.scheduler.killRunner(input.model),
    crash: simulation.crash,
  });
}

const REPEATING: Writer = { next: () => " again" };

function openWriter(input: CompletionInput, schema: JsonObject | undefined, simulation: Simulation): Writer {
  const { prompt } = input;
  const voice = voiceOf(input, simulation);
  const script = input.script ?? (schema && writeJson(schema, voice + prompt));
  if (script !== undefined) return scriptedWriter(script);
  const isThinking = input.model.capabilities.includes("thinking");
  return createWriter({ voice, prompt, answerTokens: simulation.settings.answerTokens, isThinking });
}

function scriptedWriter(script: string): Writer {
  const pieces = tokenize(script);
  let next = 0;
  return { next: () => pieces[next++] };
}

/**
 * At temperature 0 the text follows from seed, model and prompt alone. Above it a request's `seed` repeats an answer,
 * but a continuation of it differs, as with a real sampler: hence the length of the prompt.
 */
function voiceOf({ model, prompt, loaded: { options } }: CompletionInput, simulation: Simulation): string {
  const base = `${simulation.settings.seed}|${model.key}`;
  if (options.temperature === 0) return base;
  const sampling = options.seed >= 0 ? `${options.seed}|${prompt.length}` : String(simulation.rng.next());
  return `${base}|${options.temperature}|${sampling}`;
}

const SCHEMA_TYPES = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

function readFormat(format: unknown): JsonObject | undefined {
  if (format === undefined || format === null || format === "") return undefined;
  if (format === "json") return FREE_JSON_SCHEMA;
  if (!isObject(format)) {
    const raw = JSON.stringify(JSON.stringify(format));
    throw new OllamaError(500, `invalid format: ${raw}; expected "json" or a valid JSON Schema object`);
  }
  const { type } = format;
  if (typeof type === "string" && !SCHEMA_TYPES.has(type)) throw new OllamaError(500, errorTexts.badSchema);
  return format;
}

function readThink(value: unknown): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  const levels = '"high", "medium", "low", "max", true, or false';
  if (typeof value !== "string") throw new OllamaError(400, `think must be a boolean or string (${levels})`);
  if (["high", "medium", "low", "max"].includes(value)) return true;
  throw new OllamaError(400, `invalid think value: ${JSON.stringify(value)} (must be ${levels})`);
}
