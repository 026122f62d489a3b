/**
 * What is known of every runner on the node: its state, its slots, what Ollama says of it. Pure bookkeeping without time
 * limits; which call goes next is decided elsewhere.
 */
import type { LoadedModel, RunnerSnapshot } from "../status/node-load.ts";
import { LearnedRates } from "./learned-rates.ts";
import { type RunnerSpec, withoutContext } from "./runner-key.ts";

/**
 * - `cold`: nobody asked for it yet, or Ollama let it go.
 * - `loading`: its load job runs.
 * - `loaded`: the agent loaded it and Ollama still lists it.
 * - `closing`: takes no new calls, because another runner of the same model waits for its place.
 */
export type RunnerState =
  | { readonly kind: "cold" }
  | { readonly kind: "loading"; readonly sinceMs: number }
  | { readonly kind: "loaded"; readonly sinceMs: number }
  | { readonly kind: "closing"; readonly sinceMs: number };

export interface RunnerRecord {
  readonly spec: RunnerSpec;
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
}

/** Cold runners are forgotten over this, the least recently asked for first; the busy ones are bounded by queue and slots. */
const MAX_RECORDS = 256;

export class RunnerTable {
  readonly #slotsPerRunner: number;
  /** In the order in which they were last asked for. */
  readonly #records = new Map<string, RunnerRecord>();
  /** Loaded by others, by model key; known from Ollama alone. */
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
    };
    this.#records.delete(spec.key);
    this.#records.set(spec.key, record);
    this.#forgetOldest(record);
    return record;
  }

  /** The other runners of the same model that are in memory. */
  loadedSiblings(record: RunnerRecord): RunnerRecord[] {
    const isInMemory = (other: RunnerRecord): boolean =>
      other.state.kind === "loaded" || other.state.kind === "closing";
    return [...this.#records.values()].filter(
      (other) => other !== record && other.spec.modelKey === record.spec.modelKey && isInMemory(other),
    );
  }

  /**
   * Opens closed runners for whose place nobody waits any more: the call that closed one may have left, and without this its
   * own callers would wait until Ollama lets it go, which may be never.
   */
  reopen(): void {
    const records = [...this.#records.values()];
    for (const record of records) {
      const { state } = record;
      if (state.kind !== "closing") continue;
      const isPlaceWanted = records.some(
        (other) => other !== record && other.spec.modelKey === record.spec.modelKey && other.waiting > 0,
      );
      if (!isPlaceWanted) record.state = { kind: "loaded", sinceMs: state.sinceMs };
    }
  }

  /**
   * Takes over what Ollama says is loaded. `askedAtMs` is when it was asked: a runner that was loaded since then may be
   * missing in the answer. A busy runner is never taken for gone. Returns whether anything changed that a status shows.
   */
  reconcile(loaded: readonly LoadedModel[], askedAtMs: number): void {
    const byKey = new Map(loaded.map((model) => [model.modelKey, model]));
    for (const record of this.#records.values()) {
      const { state } = record;
      if (state.kind !== "loaded" && state.kind !== "closing") continue;
      const seen = byKey.get(record.spec.modelKey);
      if (seen !== undefined && !wasReplaced(record, seen)) record.seen = seen;
      else if (record.active === record.cooling && state.sinceMs < askedAtMs) this.chill(record);
    }
    const own = new Set(
      [...this.#records.values()]
        .filter((record) => record.state.kind !== "cold")
        .map((record) => record.spec.modelKey),
    );
    this.#foreign = loaded.filter((model) => !own.has(model.modelKey));
  }

  /** Whether somebody beside the agent loaded the model: loading it may take no time, and its cache may be warm. */
  isLoadedByOthers(modelKey: string): boolean {
    return this.#foreign.some((model) => model.modelKey === modelKey);
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
        optionsJson: record.spec.optionsJson,
        state: record.state.kind === "cold" ? ("loaded" as const) : record.state.kind,
        slots: record.slots,
        active: record.active,
        queued: queuedOf(record.spec.key),
        seen: record.seen,
        loadingForMs: record.state.kind === "loading" ? nowMs - record.state.sinceMs : undefined,
        rates: record.rates.snapshot(),
      }));
    const foreign = this.#foreign
      .filter(
        (model) =>
          ![...this.#records.values()].some((record) => isWarm(record) && record.spec.modelKey === model.modelKey),
      )
      .map((model) => ({
        model: model.name,
        optionsJson: "",
        state: "loaded" as const,
        slots: this.#slotsPerRunner,
        active: 0,
        queued: queuedOf(model.modelKey),
        seen: model,
        loadingForMs: undefined,
        rates: undefined,
      }));
    return [...own, ...foreign];
  }

  /** Ollama does not load a model anew for the context that it has (server/sched.go needsReload). */
  #canonical(asked: RunnerSpec): RunnerSpec {
    const split = withoutContext(asked);
    const loaded = split === undefined ? undefined : this.#records.get(split.base.key);
    if (split === undefined || loaded?.seen === undefined) return asked;
    return loaded.seen.contextLength === split.contextLength ? split.base : asked;
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

function isWarm(record: RunnerRecord): boolean {
  return record.state.kind !== "cold" || record.active > 0;
}

/** Another context than before means that somebody beside the agent loaded the model with other options. */
function wasReplaced(record: RunnerRecord, seen: LoadedModel): boolean {
  return record.seen !== undefined && record.seen.contextLength !== seen.contextLength;
}
