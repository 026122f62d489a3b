/**
 * The order in which a program's parts stop: the reverse of how they started, each within its time. It knows neither signals
 * nor what the parts are.
 */
import { type Clock, sleep } from "./clock.ts";
import type { Logger } from "./log.ts";

export interface StopOptions {
  /** How long this part may take before the next one is stopped; default 10 s. */
  readonly timeoutMs?: number;
}

interface StopStep {
  readonly name: string;
  readonly stop: () => void | Promise<void>;
  readonly timeoutMs: number;
}

const STOP_TIMEOUT_MS = 10_000;

export class Lifecycle {
  readonly #clock: Clock;
  readonly #steps: StopStep[] = [];
  readonly #stopping = new AbortController();
  #log: Logger;
  #stopped: Promise<void> | undefined;
  #exitCode = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Aborted when the stop begins. */
  get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  get log(): Logger {
    return this.#log;
  }

  /** The program's own log, once its level is known. */
  useLog(log: Logger): void {
    this.#log = log;
  }

  /** 0 unless something failed: the worst of what `stop` was told. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Registers what stops a part that has just started. A part that starts while the program stops is stopped at once. */
  onStop(name: string, stop: () => void | Promise<void>, options: StopOptions = {}): void {
    const step = { name, stop, timeoutMs: options.timeoutMs ?? STOP_TIMEOUT_MS };
    this.#steps.push(step);
    // After the loop of #run has ended nobody else would take it; the loop pops, so it never runs twice.
    if (this.#stopped !== undefined) this.#stopped = this.#stopped.then(() => this.#run());
  }

  /** Stops all parts; resolves when the last has stopped or had its time. Further calls wait for the same stop. */
  stop(exitCode = 0): Promise<void> {
    this.#exitCode = Math.max(this.#exitCode, exitCode);
    if (this.#stopped === undefined) {
      this.#stopping.abort();
      this.#stopped = this.#run();
    }
    return this.#stopped;
  }

  async #run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await this.#stopOne(step);
  }

  async #stopOne({ name, stop, timeoutMs }: StopStep): Promise<void> {
    const done = new AbortController();
    try {
      const finished = Promise.resolve(stop()).then(() => true);
      const isInTime = await Promise.race([finished, sleep(this.#clock, timeoutMs, done.signal).then(() => false)]);
      if (!isInTime) this.#log.warn({ part: name, timeoutMs }, "a part did not stop in time; going on without it");
    } catch (error) {
      this.#log.error({ part: name, err: error }, "a part failed while it stopped");
    } finally {
      done.abort();
    }
  }
}
