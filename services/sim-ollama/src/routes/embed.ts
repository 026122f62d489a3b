/** `POST /api/embed` and its deprecated sister `POST /api/embeddings`. */
import { sleep } from "@drover/platform";
import { performBreak } from "../fault-injection.ts";
import { fieldReader, parseBody } from "../http/request-body.ts";
import { parseKeepAlive } from "../keep-alive.ts";
import type { Model } from "../model-catalog.ts";
import { errorTexts, modelNotFound, modelNotFoundForEmbedding, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { embed as embedTokens, normalized } from "../text/embedding.ts";
import { tokenize } from "../text/tokenizer.ts";
import { canceled, nanoseconds } from "./answer-stream.ts";
import { findModel, type LoadedRequest, loadModel } from "./inference.ts";

export async function embed(exchange: Exchange, simulation: Simulation): Promise<void> {
  const body = parseBody(exchange.body, "EmbedRequest");
  const fields = fieldReader(body, "EmbedRequest");
  const requested = fields.text("model");
  const isTruncating = fields.flag("truncate") ?? true;
  const dimensions = fields.integer("dimensions") ?? 0;
  const request = { rawOptions: fields.object("options"), keepAliveMs: parseKeepAlive(body["keep_alive"]) };
  const inputs = readInputs(body["input"]);
  const model = findEmbedder(requested, simulation, modelNotFound(requested));
  const loaded = await loadModel(model, request, exchange, simulation);
  try {
    if (inputs.length === 0) return exchange.reply.json(200, { model: requested, embeddings: [] });
    if (await isBroken(model, exchange, simulation, 400)) return;
    const task = { model, loaded, isTruncating, exchange, simulation };
    const results = await Promise.all(inputs.map((input) => vectorOf(input, task)));
    exchange.reply.json(200, {
      model: requested,
      embeddings: results.map(({ vector }) => shortened(normalized(vector), dimensions)),
      total_duration: nanoseconds(simulation.clock.nowMs() - exchange.arrivedAtMs),
      load_duration: nanoseconds(loaded.loadMs),
      prompt_eval_count: results.reduce((sum, { tokens }) => sum + tokens, 0),
    });
  } finally {
    loaded.lease.release();
  }
}

export async function embeddings(exchange: Exchange, simulation: Simulation): Promise<void> {
  const body = parseBody(exchange.body, "EmbeddingRequest");
  const fields = fieldReader(body, "EmbeddingRequest");
  const requested = fields.text("model");
  const prompt = fields.text("prompt");
  const request = { rawOptions: fields.object("options"), keepAliveMs: parseKeepAlive(body["keep_alive"]) };
  const model = findEmbedder(requested, simulation, new OllamaError(400, errorTexts.modelRequired));
  const loaded = await loadModel(model, request, exchange, simulation);
  try {
    if (prompt === "") return exchange.reply.json(200, { embedding: [] });
    if (await isBroken(model, exchange, simulation, 500)) return;
    const { vector } = await vectorOf(prompt, { model, loaded, isTruncating: false, exchange, simulation });
    exchange.reply.json(200, { embedding: vector });
  } finally {
    loaded.lease.release();
  }
}

function readInputs(input: unknown): readonly string[] {
  if (input === undefined || input === null || input === "") return [];
  if (typeof input === "string") return [input];
  if (Array.isArray(input) && input.every((item) => typeof item === "string")) return input;
  throw new OllamaError(400, "invalid input type");
}

function findEmbedder(requested: string, simulation: Simulation, missing: OllamaError): Model {
  try {
    return findModel(requested, simulation, missing);
  } catch (error) {
    const isUnknown = error instanceof OllamaError && error !== missing && error.status === 404;
    throw isUnknown ? modelNotFoundForEmbedding(requested) : error;
  }
}

/** A fault that would break a stream breaks the one answer; true when it has been dealt with. */
async function isBroken(
  model: Model,
  exchange: Exchange,
  simulation: Simulation,
  crashStatus: number,
): Promise<boolean> {
  const fault = exchange.plan.breaking;
  if (fault === undefined) return false;
  const killRunner = (): void => simulation.scheduler.killRunner(model);
  const hands = { exchange, killRunner, crash: simulation.crash };
  await performBreak(fault, hands, errorTexts.runnerDiedInEmbedding, crashStatus);
  exchange.reply.empty(200);
  return true;
}

interface EmbedTask {
  readonly model: Model;
  readonly loaded: LoadedRequest;
  readonly isTruncating: boolean;
  readonly exchange: Exchange;
  readonly simulation: Simulation;
}

async function vectorOf(input: string, task: EmbedTask): Promise<{ vector: number[]; tokens: number }> {
  const { exchange, simulation, model } = task;
  const { runner } = task.loaded.lease;
  const all = tokenize(input);
  if (all.length > runner.contextLength && !task.isTruncating) throw new OllamaError(400, errorTexts.tooLong);
  const tokens = all.slice(0, runner.contextLength);
  exchange.record.phase("queued");
  const slot = await runner.acquireSlot(tokens, exchange.reply.signal);
  if (slot === undefined) throw canceled();
  exchange.record.phase("prefill");
  const extraMs = exchange.plan.get("slow-first-token")?.delayMs ?? 0;
  // Never cut short: Ollama runs an embedding to its end even when the caller has left.
  await sleep(simulation.clock, (tokens.length / simulation.pace.prefillSpeed) * 1000 + extraMs, runner.death);
  slot.release();
  if (runner.death.aborted) throw new OllamaError(400, errorTexts.runnerDiedInEmbedding);
  return { vector: embedTokens(tokens, model.key, model.embeddingLength), tokens: tokens.length };
}

function shortened(vector: readonly number[], dimensions: number): readonly number[] {
  return dimensions > 0 && dimensions < vector.length ? normalized(vector.slice(0, dimensions)) : vector;
}
