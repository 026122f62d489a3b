/** A task that runs again and again until it is stopped, one run at a time, with a pause before each. */
import { type Clock, type Logger, sleep } from "@drover/platform";

export interface RepeatOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** For the log, when a run fails in a way that the task did not expect. */
  readonly name: string;
  /** Before the first run, and from the end of a run to the start of the next one. */
  readonly pauseMs: number;
  readonly signal: AbortSignal;
}

/** Resolves once the signal was aborted and the last run has ended. Never rejects. */
export async function repeat(options: RepeatOptions, task: () => Promise<void>): Promise<void> {
  while (true) {
    await sleep(options.clock, options.pauseMs, options.signal);
    if (options.signal.aborted) return;
    try {
      await task();
    } catch (err) {
      options.log.warn({ err, task: options.name }, "a repeated task failed and will be tried again");
    }
  }
}
