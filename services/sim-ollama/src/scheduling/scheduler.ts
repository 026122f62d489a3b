/**
 * Which models are loaded, as Ollama's scheduler decides it (server/sched.go of 0.24.0): a loaded and fitting model is
 * granted at once; everything else goes through one queue that loads strictly one after another, unloads what is in
 * the way and loses a load when the request that wanted it leaves. Knows nothing of HTTP.
 */
import type { Clock, Timer } from "@drover/platform";
import { sleep } from "@drover/platform";
import type { Model } from "../model-catalog.ts";
import type { RunnerOptions } from "../model-options.ts";
import { areRunnerOptionsEqual } from "../model-options.ts";
import { errorTexts, OllamaError } from "../ollama-error.ts";
import type { Runner } from "./runner.ts";
import { createRunner } from "./runner.ts";

export interface SchedulerOptions {
  readonly clock: Clock;
  /** Slots of each runner: `OLLAMA_NUM_PARALLEL`. */
  readonly slots: number;
  readonly loadMs: number;
  /** Used until a request brings its own: `OLLAMA_KEEP_ALIVE`. */
  readonly keepAliveMs: number;
  /** `OLLAMA_MAX_LOADED_MODELS`. */
  readonly maxLoadedModels: number;
  /** How many requests may wait for loads before 503: `OLLAMA_MAX_QUEUE`. */
  readonly maxQueue: number;
}

export interface LoadRequest {
  readonly model: Model;
  readonly options: RunnerOptions;
  /** Undefined leaves the runner's own as it is. */
  readonly keepAliveMs: number | undefined;
  readonly signal: AbortSignal;
  readonly onLoading: () => void;
  /** A scripted failure: the load takes its time, then ends with this. */
  readonly loadFailure: OllamaError | undefined;
}

export interface RunnerLease {
  readonly runner: Runner;
  /** The request has ended; the last one starts the keep-alive. */
  release(): void;
}

export interface LoadedModel {
  readonly model: Model;
  readonly expiresAtMs: number;
  readonly contextLength: number;
}

interface Entry {
  readonly runner: Runner;
  keepAliveMs: number;
  users: number;
  /** Set whenever the last user leaves; stale while busy, as in Ollama. */
  expiresAtMs: number | undefined;
  timer: Timer | undefined;
  readonly onUnloaded: (() => void)[];
}

interface Pending {
  readonly request: LoadRequest;
  readonly grant: (lease: RunnerLease) => void;
  readonly refuse: (error: OllamaError) => void;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  /** By weights: two names of the same share a runner (schedulerModelKey). */
  readonly #loaded = new Map<string, Entry>();
  readonly #pending: Pending[] = [];
  #isPumping = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Rejects with an OllamaError when the load fails, the queue is full or the requester leaves. */
  acquire(request: LoadRequest): Promise<RunnerLease> {
    const entry = this.#loaded.get(request.model.weights);
    if (entry !== undefined && isUsable(entry, request)) return Promise.resolve(this.#grant(entry, request));
    if (this.#pending.length >= this.#options.maxQueue) throw new OllamaError(503, errorTexts.busy);
    return new Promise((grant, refuse) => {
      this.#pending.push({ request, grant, refuse });
      void this.#pump();
    });
  }

  /** `keep_alive: 0` without a prompt: unloads now, or as soon as the running requests end. */
  expire(model: Model): void {
    const entry = this.#loaded.get(model.weights);
    if (entry === undefined) return;
    entry.expiresAtMs = this.#options.clock.wallMs();
    this.#retire(entry);
  }

  /** Longest to live first, as `/api/ps` lists them. A model that is being loaded is not among them. */
  loadedModels(): LoadedModel[] {
    const nowMs = this.#options.clock.wallMs();
    const models = [...this.#loaded.values()].map((entry) => ({
      model: entry.runner.model,
      expiresAtMs: entry.expiresAtMs ?? nowMs + entry.keepAliveMs,
      contextLength: entry.runner.contextLength,
    }));
    return models.sort((a, b) => b.expiresAtMs - a.expiresAtMs);
  }

  /** The runner's process dies. As in Ollama it stays listed until somebody wants it again. */
  killRunner(model: Model): void {
    this.#loaded.get(model.weights)?.runner.kill();
  }

  /** Everything is gone at once, as after a crash of Ollama itself. */
  forgetAll(): void {
    for (const entry of this.#loaded.values()) {
      entry.timer?.cancel();
      entry.runner.kill();
      for (const unloaded of entry.onUnloaded) unloaded();
    }
    this.#loaded.clear();
  }

  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      try {
        next.grant(await this.#schedule(next.request));
      } catch (error) {
        next.refuse(error instanceof OllamaError ? error : new OllamaError(500, String(error)));
      }
    }
    this.#isPumping = false;
  }

  async #schedule(request: LoadRequest): Promise<RunnerLease> {
    for (;;) {
      if (request.signal.aborted) throw new OllamaError(499, errorTexts.canceled);
      const entry = this.#loaded.get(request.model.weights);
      if (entry !== undefined && isUsable(entry, request)) return this.#grant(entry, request);
      const inTheWay = entry ?? this.#victim();
      if (inTheWay === undefined) return this.#load(request);
      await this.#unloaded(inTheWay);
    }
  }

  async #load(request: LoadRequest): Promise<RunnerLease> {
    request.onLoading();
    await sleep(this.#options.clock, this.#options.loadMs, request.signal);
    if (request.signal.aborted) throw new OllamaError(499, errorTexts.canceled);
    if (request.loadFailure !== undefined) throw request.loadFailure;
    const entry: Entry = {
      runner: createRunner({ model: request.model, options: request.options, slots: this.#options.slots }),
      keepAliveMs: this.#options.keepAliveMs,
      users: 0,
      expiresAtMs: undefined,
      timer: undefined,
      onUnloaded: [],
    };
    this.#loaded.set(request.model.weights, entry);
    return this.#grant(entry, request);
  }

  #grant(entry: Entry, request: LoadRequest): RunnerLease {
    entry.users += 1;
    entry.timer?.cancel();
    entry.timer = undefined;
    if (request.keepAliveMs !== undefined) entry.keepAliveMs = request.keepAliveMs;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      this.#leave(entry);
    };
    return { runner: entry.runner, release };
  }

  #leave(entry: Entry): void {
    entry.users -= 1;
    if (entry.users > 0) return;
    if (entry.keepAliveMs <= 0) {
      this.#unload(entry);
      return;
    }
    entry.timer?.cancel();
    entry.timer = this.#options.clock.after(entry.keepAliveMs, () => this.#unload(entry));
    entry.expiresAtMs = this.#options.clock.wallMs() + entry.keepAliveMs;
  }

  /** Idle models first, then the shortest keep-alive: not the least recently used. */
  #victim(): Entry | undefined {
    if (this.#loaded.size < this.#options.maxLoadedModels) return undefined;
    const byPreference = [...this.#loaded.values()].sort(
      (a, b) => a.keepAliveMs - b.keepAliveMs || (a.runner.model.weights < b.runner.model.weights ? -1 : 1),
    );
    return byPreference.find((entry) => entry.users === 0) ?? byPreference[0];
  }

  #unloaded(entry: Entry): Promise<void> {
    return new Promise((resolve) => {
      entry.onUnloaded.push(resolve);
      this.#retire(entry);
    });
  }

  #retire(entry: Entry): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    entry.keepAliveMs = 0;
    if (entry.users === 0) this.#unload(entry);
  }

  #unload(entry: Entry): void {
    entry.timer?.cancel();
    if (this.#loaded.get(entry.runner.model.weights) === entry) this.#loaded.delete(entry.runner.model.weights);
    for (const unloaded of entry.onUnloaded.splice(0)) unloaded();
  }
}

function isUsable(entry: Entry, request: LoadRequest): boolean {
  return !entry.runner.death.aborted && areRunnerOptionsEqual(entry.runner.options, request.options);
}
