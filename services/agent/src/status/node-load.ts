/**
 * The load part of a status: what runs and what waits, as routers read it. Built from plain facts of the queue; it does not
 * know how they came about.
 */

import { create } from "@bufbuild/protobuf";
import { protoDuration } from "@drover/platform";
import {
  type LearnedRates,
  LearnedRatesSchema,
  type NodeLoad,
  NodeLoadSchema,
  type Runner,
  RunnerSchema,
  RunnerState,
} from "@drover/proto/drover/fleet/v1/fleet_pb";

/** What Ollama says of a model in its memory (GET /api/ps). */
export interface LoadedModel {
  readonly name: string;
  /** See RunnerSpec.weightsKey. */
  readonly weightsKey: string;
  /** Tokens per slot; 0 when Ollama does not say (before 0.10). */
  readonly contextLength: number;
  readonly sizeBytes: number;
  readonly vramBytes: number;
}

/** How fast a runner is; undefined and empty are not known yet. */
export interface RunnerRates {
  readonly prefillTokensPerSecond: number | undefined;
  /** By the number of others that run. */
  readonly msPerToken: readonly number[];
  readonly loadMs: number | undefined;
}

export interface RunnerSnapshot {
  readonly model: string;
  readonly weightsKey: string;
  readonly optionsJson: string;
  readonly state: "loading" | "loaded" | "closing";
  readonly slots: number;
  readonly active: number;
  /** Those of `active` whose calls are gone. */
  readonly cooling: number;
  readonly queued: number;
  readonly seen: LoadedModel | undefined;
  readonly loadingForMs: number | undefined;
  /** Undefined when nothing was ever asked of it through the agent. */
  readonly rates: RunnerRates | undefined;
  /** Of a request, for each token of its prompt; undefined when not known. */
  readonly bytesPerToken?: number | undefined;
}

export interface LoadSnapshot {
  readonly runners: readonly RunnerSnapshot[];
  readonly queued: number;
  readonly queueLimit: number;
  readonly slotsPerRunner: number;
  readonly active: number;
  readonly cooling: number;
}

/** As NodeLoad.runners promises. */
const MAX_RUNNERS = 256;

/** As Runner.other_models promises. */
const MAX_OTHER_MODELS = 16;

const STATES = {
  loading: RunnerState.LOADING,
  loaded: RunnerState.LOADED,
  closing: RunnerState.CLOSING,
} as const;

/** `namesOf`: the names on disk for weights. */
export function buildNodeLoad(load: LoadSnapshot, namesOf: (weightsKey: string) => readonly string[]): NodeLoad {
  return create(NodeLoadSchema, {
    runners: load.runners.slice(0, MAX_RUNNERS).map((runner) => buildRunner(runner, namesOf(runner.weightsKey))),
    queued: load.queued,
    queueLimit: load.queueLimit,
    slotsPerRunner: load.slotsPerRunner,
    active: load.active,
    cooling: load.cooling,
  });
}

function buildRunner(snapshot: RunnerSnapshot, names: readonly string[]): Runner {
  const runner = create(RunnerSchema, {
    model: snapshot.model,
    otherModels: names.filter((name) => name !== snapshot.model).slice(0, MAX_OTHER_MODELS),
    runnerOptionsJson: snapshot.optionsJson,
    state: STATES[snapshot.state],
    slots: snapshot.slots,
    active: snapshot.active,
    cooling: snapshot.cooling,
    queued: snapshot.queued,
    contextLength: snapshot.seen?.contextLength ?? 0,
    sizeBytes: BigInt(snapshot.seen?.sizeBytes ?? 0),
    vramBytes: BigInt(snapshot.seen?.vramBytes ?? 0),
  });
  if (snapshot.loadingForMs !== undefined) runner.loadingFor = protoDuration(snapshot.loadingForMs);
  const rates = buildRates(snapshot.rates ?? UNKNOWN_RATES, snapshot.bytesPerToken);
  if (rates !== undefined) runner.rates = rates;
  return runner;
}

const UNKNOWN_RATES: RunnerRates = { prefillTokensPerSecond: undefined, msPerToken: [], loadMs: undefined };

function buildRates(
  { prefillTokensPerSecond, msPerToken, loadMs }: RunnerRates,
  bytesPerToken: number | undefined,
): LearnedRates | undefined {
  const known = [prefillTokensPerSecond, loadMs, bytesPerToken].some((rate) => rate !== undefined);
  if (!known && msPerToken.length === 0) return undefined;
  const rates = create(LearnedRatesSchema, { msPerToken: [...msPerToken] });
  if (prefillTokensPerSecond !== undefined) rates.prefillTokensPerSecond = prefillTokensPerSecond;
  if (loadMs !== undefined) rates.loadTime = protoDuration(loadMs);
  if (bytesPerToken !== undefined) rates.bytesPerToken = bytesPerToken;
  return rates;
}
