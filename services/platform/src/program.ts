/**
 * A program from its first line to its exit code: signals, the parent that started it, wrong configuration and faults. It runs
 * `main` and knows nothing of what it does.
 */
import { type Clock, systemClock } from "./clock.ts";
import { ConfigError } from "./config-error.ts";
import { Lifecycle } from "./lifecycle.ts";
import { createLogger } from "./log.ts";

/** What a program tells the process that started it, once it serves: its addresses and whatever else tests and launchers need. */
export type ReadyFacts = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  readonly name: string;
  /** Starts everything, registers each part at `lifecycle.onStop`, and resolves when the program serves; undefined: it is done. */
  readonly main: (lifecycle: Lifecycle) => Promise<ReadyFacts | undefined>;
  readonly clock?: Clock;
  /** The process around the program; tests bring their own. */
  readonly host?: ProgramHost;
}

/** The part of `process` that a program needs. */
export interface ProgramHost {
  on(event: "SIGINT" | "SIGTERM" | "SIGHUP" | "disconnect", listener: () => void): unknown;
  on(event: "uncaughtException", listener: (error: Error) => void): unknown;
  exit(code: number): void;
  /** Only where a parent process listens (IPC). */
  readonly send?: ((message: object, onSent: () => void) => unknown) | undefined;
  readonly stderr: { write(text: string): unknown };
}

/**
 * Runs the program and ends the process: 0 after a stop that was asked for, 2 when its configuration is wrong, 1 for a fault.
 * The first SIGINT, SIGTERM or SIGHUP stops it in order, as does the parent's end; a second signal ends it at once.
 */
export async function runProgram(options: ProgramOptions): Promise<void> {
  const host = options.host ?? (process as ProgramHost);
  const lifecycle = new Lifecycle(options.clock ?? systemClock, createLogger({ name: options.name }));
  const end = (code: number): void => {
    lifecycle
      .stop(code)
      .then(() => host.exit(lifecycle.exitCode))
      .catch(() => host.exit(1));
  };
  let hasSignal = false;
  // Ctrl-C reaches a parent as well, whose goodbye may be here first: only a second signal is impatient.
  const onSignal = (): void => {
    if (hasSignal) host.exit(1);
    else end(0);
    hasSignal = true;
  };
  host.on("SIGINT", onSignal);
  host.on("SIGTERM", onSignal);
  host.on("SIGHUP", onSignal);
  host.on("disconnect", () => end(0));
  host.on("uncaughtException", (error) => {
    lifecycle.log.error({ err: error }, "the program failed and ends");
    host.exit(1);
  });
  try {
    const facts = await options.main(lifecycle);
    if (facts === undefined) end(0);
    // Without a callback a parent that is gone by now would end the program by an `error` event, not by `disconnect`.
    else if (!lifecycle.stopSignal.aborted) host.send?.({ type: "ready", ...facts }, () => undefined);
  } catch (error) {
    if (error instanceof ConfigError)
      for (const problem of error.problems) host.stderr.write(`${options.name}: ${problem}\n`);
    else lifecycle.log.error({ err: error }, "the program could not start");
    end(error instanceof ConfigError ? 2 : 1);
  }
}
