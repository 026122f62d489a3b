/**
 * What is known of every runner on the node: its state, its slots, what Ollama says of it. Pure bookkeeping without time
 * limits; which call goes next is decided elsewhere.
 */
import type { LoadedModel, RunnerSnapshot } from "../status/node-load.ts";
import { LearnedRates } from "./learned-rates.ts";
import type { RunnerSpec } from "./runner-key.ts";

/**
 * - `cold`: nobody asked for it yet, or Ollama let it go.
 * - `loading`: its load job runs.
 * - `loaded`: the agent loaded it and Ollama still lists it.
 * - `closing`: takes no new calls, because the runner `by` waits for its place.
 */
export type RunnerState =
  | { readonly kind: "cold" }
  | { readonly kind: "loading"; readonly sinceMs: number }
  | { readonly kind: "loaded"; readonly sinceMs: number }
  | { readonly kind: "closing"; readonly sinceMs: number; readonly by: RunnerRecord };

export interface RunnerRecord {
  /** As it was asked for last: several names may stand for the same weights. */
  spec: RunnerSpec;
  readonly slots: number;
  state: RunnerState;
  /** Slots that are busy or cooling. */
  active: number;
  /** Slots in which Ollama still reads the prompt of a call that is gone. */
  cooling: number;
  /** Calls in the queue that wait for it. */
  waiting: number;
  /** Outlives the runner: the next load of it is as fast. */
  readonly rates: LearnedRates;
  /** What Ollama says of it; undefined before the first look after its load. */
  seen: LoadedModel | undefined;
  /** What it takes in memory, as seen last; before that what it takes on disk. */
  bytes: number;
}

/** Cold runners are forgotten over this, the least recently asked for first; the busy ones are bounded by queue and slots. */
const MAX_RECORDS = 256;

export class RunnerTable {
  readonly #slotsPerRunner: number;
  /** In the order in which they were last asked for. */
  readonly #records = new Map<string, RunnerRecord>();
  /** Loaded by others; known from Ollama alone. */
  #foreign: readonly LoadedModel[] = [];

  constructor(slotsPerRunner: number) {
    this.#slotsPerRunner = slotsPerRunner;
  }

  /** The record of a runner, made when it is new. Who names the context that is loaded anyway shares it with those who do not. */
  touch(asked: RunnerSpec): RunnerRecord {
    const spec = this.#canonical(asked);
    const record = this.#records.get(spec.key) ?? {
      spec,
      // Ollama forces one for models that only embed (server/sched.go).
      slots: spec.isEmbedding ? 1 : this.#slotsPerRunner,
      state: { kind: "cold" },
      active: 0,
      cooling: 0,
      waiting: 0,
      rates: new LearnedRates(),
      seen: undefined,
      bytes: spec.sizeBytes,
    };
    record.spec = spec;
    this.#records.delete(spec.key);
    this.#records.set(spec.key, record);
    this.#forgetOldest(record);
    return record;
  }

  /** The other runners of the same weights that are in memory. */
  loadedSiblings(record: RunnerRecord): RunnerRecord[] {
    return this.#inMemory().filter((other) => other !== record && isSibling(other, record));
  }

  /** Runners of other weights that could make room for `record`: idle ones first, then those with the fewest calls. */
  leastWantedFirst(record: RunnerRecord): RunnerRecord[] {
    const others = this.#inMemory().filter((other) => !isSibling(other, record));
    // The sort is stable: equal ones stay in the order in which they were last asked for.
    return others.sort((left, right) => callsOf(left) - callsOf(right));
  }

  loaded(): RunnerRecord[] {
    return this.#inMemory().filter(({ state }) => state.kind === "loaded");
  }

  closing(): RunnerRecord[] {
    return this.#inMemory().filter(({ state }) => state.kind === "closing");
  }

  closedFor(by: RunnerRecord): RunnerRecord[] {
    return this.closing().filter(({ state }) => state.kind === "closing" && state.by === by);
  }

  /** Bytes by weights of all that is in memory, loaded by others too. */
  bytesInMemory(): Map<string, number> {
    const own = this.#inMemory().map((record) => [record.spec.weightsKey, record.bytes] as const);
    return new Map([...this.#foreign.map((model) => [model.weightsKey, model.sizeBytes] as const), ...own]);
  }

  /**
   * Takes over what Ollama says is loaded. `askedAtMs` is when it was asked: a runner that was loaded since then may be
   * missing in the answer. A busy runner is never taken for gone.
   */
  reconcile(loaded: readonly LoadedModel[], askedAtMs: number): void {
    const byKey = new Map(loaded.map((model) => [model.weightsKey, model]));
    for (const record of this.#records.values()) {
      const { state } = record;
      if (state.kind !== "loaded" && state.kind !== "closing") continue;
      const seen = byKey.get(record.spec.weightsKey);
      if (seen !== undefined && !wasReplaced(record, seen)) see(record, seen);
      else if (record.active === record.cooling && state.sinceMs < askedAtMs) this.chill(record);
    }
    const own = new Set(
      [...this.#records.values()]
        .filter((record) => record.state.kind !== "cold")
        .map((record) => record.spec.weightsKey),
    );
    this.#foreign = loaded.filter((model) => !own.has(model.weightsKey));
  }

  /** Whether somebody beside the agent loaded the model: loading it may take no time, and its cache may be warm. */
  isLoadedByOthers(weightsKey: string): boolean {
    return this.#foreign.some((model) => model.weightsKey === weightsKey);
  }

  /** Marks a runner as no longer loaded. */
  chill(record: RunnerRecord): void {
    record.state = { kind: "cold" };
    record.seen = undefined;
  }

  /** Loaded and loading runners, with `queuedOf` calls waiting for each, and what others loaded. */
  snapshot(nowMs: number, queuedOf: (key: string) => number): RunnerSnapshot[] {
    const own = [...this.#records.values()]
      .filter((record) => record.state.kind !== "cold" || record.active > 0)
      .map((record) => ({
        model: record.spec.model,
        weightsKey: record.spec.weightsKey,
        optionsJson: record.spec.optionsJson,
        state: record.state.kind === "cold" ? ("loaded" as const) : record.state.kind,
        slots: record.slots,
        active: record.active,
        cooling: record.cooling,
        queued: queuedOf(record.spec.key),
        seen: record.seen,
        loadingForMs: record.state.kind === "loading" ? nowMs - record.state.sinceMs : undefined,
        rates: record.rates.snapshot(),
      }));
    const foreign = this.#foreign
      .filter(
        (model) =>
          ![...this.#records.values()].some((record) => isWarm(record) && record.spec.weightsKey === model.weightsKey),
      )
      .map((model) => ({
        model: model.name,
        weightsKey: model.weightsKey,
        optionsJson: "",
        state: "loaded" as const,
        slots: this.#slotsPerRunner,
        active: 0,
        cooling: 0,
        queued: queuedOf(model.weightsKey),
        seen: model,
        loadingForMs: undefined,
        rates: undefined,
      }));
    return [...own, ...foreign];
  }

  /** Ollama does not load a model anew for the context that it has (server/sched.go needsReload). */
  #canonical(asked: RunnerSpec): RunnerSpec {
    if (asked.contextLength === undefined) return asked;
    const loaded = this.#records.get(asked.contextFreeKey);
    return loaded?.seen?.contextLength === asked.contextLength ? loaded.spec : asked;
  }

  #inMemory(): RunnerRecord[] {
    return [...this.#records.values()].filter(({ state }) => state.kind === "loaded" || state.kind === "closing");
  }

  /** `wanted` is about to be waited for. Forgetting what somebody waits for would make a second record of one runner. */
  #forgetOldest(wanted: RunnerRecord): void {
    if (this.#records.size <= MAX_RECORDS) return;
    for (const [key, record] of this.#records) {
      if (record === wanted || record.waiting > 0 || isWarm(record)) continue;
      this.#records.delete(key);
      return;
    }
  }
}

/** A cooling slot does not hold Ollama back: its request is gone, so Ollama lets the runner go when it needs the place. */
export function isBusy(record: Pick<RunnerRecord, "active" | "cooling">): boolean {
  return record.active > record.cooling;
}

/** Whether calls run on it or wait for it. */
export function isWanted(record: Pick<RunnerRecord, "active" | "cooling" | "waiting">): boolean {
  return callsOf(record) > 0;
}

function callsOf({ active, cooling, waiting }: Pick<RunnerRecord, "active" | "cooling" | "waiting">): number {
  return active - cooling + waiting;
}

function isSibling(one: RunnerRecord, other: RunnerRecord): boolean {
  return one.spec.weightsKey === other.spec.weightsKey;
}

export function see(record: RunnerRecord, seen: LoadedModel | undefined): void {
  record.seen = seen;
  if (seen !== undefined && seen.sizeBytes > 0) record.bytes = seen.sizeBytes;
}

function isWarm(record: RunnerRecord): boolean {
  return record.state.kind !== "cold" || record.active > 0;
}

/** Another context than before means that somebody beside the agent loaded the model with other options. */
function wasReplaced(record: RunnerRecord, seen: LoadedModel): boolean {
  return record.seen !== undefined && record.seen.contextLength !== seen.contextLength;
}
