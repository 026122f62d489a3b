/**
 * Which runner is loaded next, and which ones make room for it. Loads run one at a time, in the order of who waits longest;
 * they belong to nobody's call. Ollama would choose for itself (server/sched.go: an idle runner, then the shortest
 * keep_alive), and let the chosen one be asked on, so that a load could wait for ever. It knows neither calls nor HTTP.
 */
import type { Clock, Timer } from "@drover/platform";
import type { LoadedModel } from "../status/node-load.ts";
import { type Footprint, LearnedRoom } from "./learned-room.ts";
import type { RunnerSpec } from "./runner-key.ts";
import { isBusy, isWanted, type RunnerRecord, type RunnerTable, see } from "./runner-table.ts";

export interface LoadJobsDeps {
  readonly clock: Clock;
  readonly runners: RunnerTable;
  /**
   * Unloads `evicted`, then loads a runner; resolves with what Ollama says of it, where that is known; rejects with a
   * DroverError. Has its own time limit.
   */
  readonly load: (runner: RunnerSpec, evicted: readonly RunnerSpec[]) => Promise<LoadedModel | undefined>;
  readonly onEnded: (end: LoadEnd) => void;
  /** Time has passed: `run` is due. */
  readonly onDue: () => void;
}

export interface LoadEnd {
  readonly record: RunnerRecord;
  readonly startedAtMs: number;
  /** Somebody beside the agent had loaded the model before. */
  readonly wasThere: boolean;
  /** Undefined: the runner is loaded. */
  readonly error: Error | undefined;
}

/** A call that waits. */
export interface Wisher {
  readonly record: RunnerRecord;
  readonly enteredAtMs: number;
}

interface Job {
  readonly record: RunnerRecord;
  readonly startedAtMs: number;
  readonly wasThere: boolean;
  /** Closed and idle; they are gone when the job ends, whether it works or not. */
  readonly victims: readonly RunnerRecord[];
  /** What was in memory beside them, in bytes by weights. */
  readonly before: ReadonlyMap<string, number>;
  /** Runners that were closed because the load takes long, and since when each is idle. */
  readonly paused: Map<RunnerRecord, number | undefined>;
}

/** How long a runner that calls ask for keeps its place from one that waits, counted from its load; and a load may take before others stand aside. */
const TURN_MS = 10_000;

/** A paused runner that Ollama wants to unload is gone from its list by then: the list is read every two seconds. */
const PAUSE_MS = 3_000;

export class LoadJobs {
  readonly #deps: LoadJobsDeps;
  readonly #room = new LearnedRoom();
  #job: Job | undefined;
  /** The last job, until Ollama has told what it left in memory. */
  #unjudged: Job | undefined;
  #recheck: Timer | undefined;
  #recheckAtMs = 0;
  #isClosed = false;

  constructor(deps: LoadJobsDeps) {
    this.#deps = deps;
  }

  /** Whether a load for `record` would start at once. */
  couldStart(record: RunnerRecord): boolean {
    return this.#job === undefined && this.#inTheWay(record).length === 0;
  }

  /** Closes and reopens runners, and starts the load whose turn it is. `waiting`: the oldest first. */
  run(waiting: readonly Wisher[]): void {
    this.#recheck?.cancel();
    this.#recheck = undefined;
    this.#reopenUnneeded();
    if (this.#job !== undefined) return this.#pauseOthers(this.#job);
    const asked = new Set<RunnerRecord>();
    for (const { record, enteredAtMs } of waiting) {
      if (record.state.kind !== "cold" || asked.has(record)) continue;
      asked.add(record);
      if (this.#takeTurn(record, enteredAtMs) === "first") return;
    }
  }

  /** Learns from what Ollama lists whether something had to go for the last load. */
  judge(loaded: readonly LoadedModel[]): void {
    this.#room.learnFits(footprintOf(new Map(loaded.map((model) => [model.weightsKey, model.sizeBytes]))));
    const job = this.#unjudged;
    const own = loaded.find((model) => model.weightsKey === job?.record.spec.weightsKey);
    if (job === undefined || own === undefined) return;
    this.#unjudged = undefined;
    const gone = [...job.before.keys()].filter((key) => !loaded.some((model) => model.weightsKey === key));
    if (gone.length === 0) return;
    this.#learnTooMuch(job, own.sizeBytes);
    const { runners } = this.#deps;
    // Also what calls run on: Ollama would load it again for each of them, and unload this one for it.
    for (const record of runners.loaded()) if (gone.includes(record.spec.weightsKey)) runners.chill(record);
  }

  /** Ollama is away: nothing that was learned of it need be true when it is back. */
  forgetRoom(): void {
    this.#room.clear();
    this.#unjudged = undefined;
  }

  /** Leaves no timer behind: from now on only what happens at the node makes it look again. */
  close(): void {
    this.#isClosed = true;
    this.#recheck?.cancel();
  }

  /** `first`: no other load may start before this one. */
  #takeTurn(record: RunnerRecord, enteredAtMs: number): "first" | "later" {
    const inTheWay = this.#inTheWay(record);
    for (const closed of this.#deps.runners.closedFor(record)) if (!inTheWay.includes(closed)) open(closed);
    const dueAtMs = Math.max(...inTheWay.map((other) => this.#givesWayAtMs(other, enteredAtMs)));
    if (dueAtMs > this.#now()) {
      this.#checkAt(dueAtMs);
      return "later";
    }
    for (const other of inTheWay) close(other, record);
    if (!inTheWay.some(isBusy)) this.#start(record, inTheWay);
    return "first";
  }

  /**
   * A runner that calls ask for has its turn before it is closed; without that, two hot models of which one fits would be
   * loaded in turns and answer nothing.
   */
  #givesWayAtMs(record: RunnerRecord, enteredAtMs: number): number {
    const { state } = record;
    if (state.kind !== "loaded" || !isWanted(record)) return Number.NEGATIVE_INFINITY;
    return Math.max(enteredAtMs, state.sinceMs) + TURN_MS;
  }

  /** Other runners of the same weights, always; and as many of the others as must go, the least wanted first. */
  #inTheWay(record: RunnerRecord): RunnerRecord[] {
    const { runners } = this.#deps;
    const inTheWay = runners.loadedSiblings(record);
    const kept = runners.bytesInMemory();
    kept.set(record.spec.weightsKey, record.bytes);
    for (const victim of runners.leastWantedFirst(record)) {
      if (this.#room.fits(footprintOf(kept), this.#now())) break;
      kept.delete(victim.spec.weightsKey);
      inTheWay.push(victim);
    }
    return inTheWay;
  }

  #start(record: RunnerRecord, victims: readonly RunnerRecord[]): void {
    const startedAtMs = this.#now();
    const { runners } = this.#deps;
    const wasThere = runners.isLoadedByOthers(record.spec.weightsKey);
    const before = runners.bytesInMemory();
    for (const gone of [record, ...victims]) before.delete(gone.spec.weightsKey);
    const job: Job = { record, startedAtMs, wasThere, victims, before, paused: new Map() };
    record.state = { kind: "loading", sinceMs: startedAtMs };
    this.#job = job;
    this.#unjudged = job;
    this.#checkAt(startedAtMs + TURN_MS);
    // Ollama drains and replaces a runner of the same weights by itself.
    const evicted = victims.filter((victim) => victim.spec.weightsKey !== record.spec.weightsKey);
    this.#deps
      .load(
        record.spec,
        evicted.map((victim) => victim.spec),
      )
      .then(
        (seen) => this.#loaded(job, seen),
        (error: unknown) => this.#failed(job, error instanceof Error ? error : new Error(String(error))),
      );
  }

  #loaded(job: Job, seen: LoadedModel | undefined): void {
    const { record } = job;
    this.#ended(job);
    record.state = { kind: "loaded", sinceMs: this.#now() };
    see(record, seen);
    this.#deps.onEnded({ ...job, error: undefined });
  }

  #failed(job: Job, error: Error): void {
    const { record } = job;
    this.#ended(job);
    this.#unjudged = undefined;
    record.state = { kind: "cold" };
    if ("kind" in error && error.kind === "out_of_memory") this.#learnTooMuch(job, record.bytes);
    this.#deps.onEnded({ ...job, error });
  }

  #ended(job: Job): void {
    this.#job = undefined;
    for (const other of [...job.victims, ...this.#deps.runners.loadedSiblings(job.record)])
      this.#deps.runners.chill(other);
  }

  #learnTooMuch({ before }: Job, ownBytes: number): void {
    const { models, bytes } = footprintOf(before);
    this.#room.learnTooMuch({ models: models + 1, bytes: bytes + ownBytes }, this.#now());
  }

  /** The call that closed one may have left, and without this its own callers would wait until Ollama lets it go, which may be never. */
  #reopenUnneeded(): void {
    for (const record of this.#deps.runners.closing()) {
      if (record.state.kind !== "closing") continue;
      const { by } = record.state;
      const isNeeded = by.state.kind === "cold" ? by.waiting > 0 : this.#isNeeded(record);
      if (!isNeeded) open(record);
    }
  }

  #isNeeded(record: RunnerRecord): boolean {
    return this.#job !== undefined && (this.#job.victims.includes(record) || this.#job.paused.has(record));
  }

  /**
   * A load that takes long may wait in Ollama for a runner that is asked on and on, while nothing is known of how much fits.
   * So the busy ones are closed until they have been idle once: Ollama takes the one that it wants, the others open again.
   */
  #pauseOthers(job: Job): void {
    const pauseAtMs = job.startedAtMs + TURN_MS;
    if (this.#now() < pauseAtMs) return this.#checkAt(pauseAtMs);
    for (const record of this.#deps.runners.loaded()) {
      if (job.paused.has(record) || !isBusy(record)) continue;
      job.paused.set(record, undefined);
      close(record, job.record);
    }
    for (const [record, idleSinceMs] of job.paused) this.#endPause(job, record, idleSinceMs);
  }

  #endPause(job: Job, record: RunnerRecord, idleSinceMs: number | undefined): void {
    if (record.state.kind !== "closing" || isBusy(record)) return;
    const endsAtMs = (idleSinceMs ?? this.#now()) + PAUSE_MS;
    if (this.#now() >= endsAtMs) return open(record);
    job.paused.set(record, endsAtMs - PAUSE_MS);
    this.#checkAt(endsAtMs);
  }

  /** The earliest of all times asked for since the last run counts. */
  #checkAt(atMs: number): void {
    const { clock, onDue } = this.#deps;
    if (this.#isClosed || (this.#recheck !== undefined && this.#recheckAtMs <= atMs)) return;
    this.#recheck?.cancel();
    this.#recheckAtMs = atMs;
    this.#recheck = clock.after(Math.max(0, atMs - this.#now()), onDue);
  }

  #now(): number {
    return this.#deps.clock.nowMs();
  }
}

function open(record: RunnerRecord): void {
  if (record.state.kind === "closing") record.state = { kind: "loaded", sinceMs: record.state.sinceMs };
}

function close(record: RunnerRecord, by: RunnerRecord): void {
  const { state } = record;
  if (state.kind === "loaded" || state.kind === "closing")
    record.state = { kind: "closing", sinceMs: state.sinceMs, by };
}

function footprintOf(bytesByWeights: ReadonlyMap<string, number>): Footprint {
  return { models: bytesByWeights.size, bytes: [...bytesByWeights.values()].reduce((sum, bytes) => sum + bytes, 0) };
}
