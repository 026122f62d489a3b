/**
 * Who may use Ollama next. Ollama's own queue is unbounded and hides its order, so calls wait here: one bounded queue for the
 * node, slots per runner, and one load at a time that belongs to nobody's call. It knows neither HTTP nor protobuf.
 */
import type { Clock } from "@drover/platform";
import type { LoadedModel, LoadSnapshot } from "../status/node-load.ts";
import { expectedWaitMs } from "./expected-wait.ts";
import { type LoadEnd, LoadJobs, type LoadJobsDeps } from "./load-jobs.ts";
import type { EntryFacts, EntryStage, QueueEntry } from "./queue-entry.ts";
import { queueFull, waitTooLong } from "./refusals.ts";
import type { RunnerSpec } from "./runner-key.ts";
import { type RunnerRecord, RunnerTable } from "./runner-table.ts";
import { type Slot, Slots } from "./slots.ts";

export interface AdmissionOptions {
  /** Name of the node, for messages. */
  readonly node: string;
  /** Running calls per runner, 1 and up. */
  readonly slots: number;
  /** Calls that may wait, over all runners, 0 and up. */
  readonly queueLimit: number;
  /** What the bodies of waiting calls may hold together. */
  readonly queueBytesLimit: number;
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly load: LoadJobsDeps["load"];
  /** See SlotsDeps. Default: it does. */
  readonly doesPrefillOutliveCancel?: () => boolean;
  /** Called when anything that `snapshot` shows may have changed. */
  readonly onChange: () => void;
}

interface Waiting {
  readonly record: RunnerRecord;
  readonly bodyBytes: number;
  readonly promptBytes: number | undefined;
  readonly enteredAtMs: number;
  loadMs: number;
  readonly grant: (slot: Slot) => void;
  readonly refuse: (error: Error) => void;
}

export class AdmissionQueue {
  readonly #options: AdmissionOptions;
  readonly #deps: AdmissionDeps;
  readonly #runners: RunnerTable;
  readonly #slots: Slots;
  readonly #loads: LoadJobs;
  /** Oldest first. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;

  constructor(options: AdmissionOptions, deps: AdmissionDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#runners = new RunnerTable(options.slots);
    this.#slots = new Slots({
      clock: deps.clock,
      doesPrefillOutliveCancel: deps.doesPrefillOutliveCancel ?? (() => true),
      onRunnerGone: (record) => this.#runnerGone(record),
      onFree: () => this.#serve(),
    });
    this.#loads = new LoadJobs({
      clock: deps.clock,
      runners: this.#runners,
      load: deps.load,
      onEnded: (end) => this.#loadEnded(end),
      onDue: () => this.#serve(),
    });
  }

  /**
   * Takes a call in, and counts it in the same turn. Throws a DroverError when the queue is full, in calls or in bytes, or
   * when its turn would come too late for it.
   */
  enter(spec: RunnerSpec, bodyBytes: number, facts: EntryFacts = {}): QueueEntry {
    const record = this.#runners.touch(spec);
    // A call whose turn it is at once never counts as waiting, so a limit of 0 means "run or refuse".
    if (!this.#canGrant(record)) this.#checkWait(record, bodyBytes, facts.longestWaitMs);
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const entry: Waiting = {
      record,
      bodyBytes,
      promptBytes: facts.promptBytes,
      enteredAtMs: this.#now(),
      loadMs: 0,
      grant: resolve,
      refuse: reject,
    };
    this.#waiting.push(entry);
    record.waiting++;
    this.#waitingBytes += bodyBytes;
    this.#serve();
    return {
      slot: promise,
      stage: () => this.#stageOf(entry),
      loadMs: () => this.#loadMsOf(entry),
      leave: (reason) => this.#leave(entry, reason),
    };
  }

  /** Takes over what Ollama says is loaded, see RunnerTable.reconcile. */
  reconcile(loaded: readonly LoadedModel[], askedAtMs: number): void {
    this.#loads.judge(loaded);
    this.#runners.reconcile(loaded, askedAtMs);
    this.#serve();
  }

  /** Ollama is away, and what was in its memory with it; runners that are busy end by themselves. */
  ollamaGone(): void {
    this.#loads.forgetRoom();
    this.reconcile([], this.#now());
  }

  snapshot(): LoadSnapshot {
    const queuedOf = (key: string): number => this.#waiting.filter((entry) => entry.record.spec.key === key).length;
    return {
      runners: this.#runners.snapshot(this.#now(), queuedOf).map((runner) => ({
        ...runner,
        bytesPerToken: this.#slots.bytesPerToken(runner.weightsKey),
      })),
      queued: this.#waiting.length,
      queueLimit: this.#options.queueLimit,
      slotsPerRunner: this.#options.slots,
      active: this.#slots.active,
      cooling: this.#slots.cooling,
    };
  }

  /** Refuses all who wait; for the end of the process. Loads and running calls end elsewhere. */
  close(reason: Error): void {
    for (const entry of [...this.#waiting]) {
      this.#remove(entry);
      entry.refuse(reason);
    }
    this.#loads.close();
    this.#slots.close();
    this.#deps.onChange();
  }

  /** Sees to it that something loads, then grants what can be granted. Runs after every change. */
  #serve(): void {
    this.#slots.sweep();
    this.#loads.run(this.#waiting);
    for (const entry of [...this.#waiting]) if (this.#canGrant(entry.record)) this.#grant(entry);
    this.#deps.onChange();
  }

  #canGrant(record: RunnerRecord): boolean {
    return record.state.kind === "loaded" && record.active < record.slots;
  }

  #grant(entry: Waiting): void {
    this.#remove(entry);
    entry.grant(this.#slots.take(entry.record, entry.promptBytes));
  }

  #runnerGone(record: RunnerRecord): void {
    if (record.state.kind === "loaded") this.#runners.chill(record);
  }

  #loadEnded({ record, startedAtMs, wasThere, error }: LoadEnd): void {
    const tookMs = this.#now() - startedAtMs;
    const waiting = this.#waitingFor(record);
    for (const entry of waiting) entry.loadMs += Math.min(tookMs, this.#now() - entry.enteredAtMs);
    if (error === undefined) {
      if (!wasThere) record.rates.learnLoad(tookMs);
    } else {
      // All of them before anything else is served: the next one would start the load that has just failed.
      for (const entry of waiting) this.#remove(entry);
      for (const entry of waiting) entry.refuse(error);
    }
    this.#serve();
  }

  #waitingFor(record: RunnerRecord): Waiting[] {
    return this.#waiting.filter((entry) => entry.record === record);
  }

  #leave(entry: Waiting, reason: Error): void {
    if (!this.#remove(entry)) return;
    entry.refuse(reason);
    this.#serve();
  }

  #remove(entry: Waiting): boolean {
    const index = this.#waiting.indexOf(entry);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    entry.record.waiting--;
    this.#waitingBytes -= entry.bodyBytes;
    return true;
  }

  #stageOf(entry: Waiting): EntryStage {
    if (!this.#waiting.includes(entry)) return { kind: "queued", ahead: 0, expectedMs: 0 };
    const { state, rates } = entry.record;
    if (state.kind === "loading")
      return { kind: "loading", elapsedMs: this.#now() - state.sinceMs, expectedMs: rates.loadMs };
    const ahead = this.#waiting.indexOf(entry);
    const before = this.#waiting.slice(0, ahead).filter((other) => other.record === entry.record).length;
    return { kind: "queued", ahead, expectedMs: this.#expectedWaitMs(entry.record, before) };
  }

  #loadMsOf(entry: Waiting): number {
    const { state } = entry.record;
    const isWaiting = this.#waiting.includes(entry);
    const running =
      isWaiting && state.kind === "loading" ? this.#now() - Math.max(state.sinceMs, entry.enteredAtMs) : 0;
    return entry.loadMs + running;
  }

  /** A single body is always within the bytes: what one call may hold is limited where it is read. */
  #hasRoom(bodyBytes: number): boolean {
    const { queueLimit, queueBytesLimit } = this.#options;
    if (this.#waiting.length >= queueLimit) return false;
    return this.#waiting.length === 0 || this.#waitingBytes + bodyBytes <= queueBytesLimit;
  }

  #checkWait(record: RunnerRecord, bodyBytes: number, longestMs = Number.POSITIVE_INFINITY): void {
    const { node } = this.#options;
    const { model } = record.spec;
    const expectedMs = this.#expectedWaitMs(record, record.waiting);
    if (!this.#hasRoom(bodyBytes)) throw queueFull(node, model, this.#waiting.length, expectedMs);
    if (expectedMs !== undefined && expectedMs > longestMs) throw waitTooLong(node, model, expectedMs, longestMs);
  }

  /** Undefined when too little is learned, and where the order of loads decides. */
  #expectedWaitMs(record: RunnerRecord, ahead: number): number | undefined {
    const { slots, state, rates, spec } = record;
    const facts = { slots, ahead, holdMs: rates.holdMs };
    if (state.kind === "loaded") {
      const freeInMs = this.#slots.freeInMs(record);
      return freeInMs === undefined ? undefined : expectedWaitMs({ ...facts, freeInMs });
    }
    const isNext = this.#loads.couldStart(record) && !this.#runners.isLoadedByOthers(spec.weightsKey);
    if (rates.loadMs === undefined || (state.kind !== "loading" && !isNext)) return undefined;
    const elapsedMs = state.kind === "loading" ? this.#now() - state.sinceMs : 0;
    const loadLeftMs = Math.max(0, rates.loadMs - elapsedMs);
    return expectedWaitMs({ ...facts, freeInMs: Array.from({ length: slots }, () => loadLeftMs) });
  }

  #now(): number {
    return this.#deps.clock.nowMs();
  }
}
