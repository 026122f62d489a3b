/**
 * The log: one structured line per event, JSON for machines, one readable line on a terminal. It owns the format and what must
 * never be written (prompts, answers, secrets); it does not know who logs what.
 */
import { type DestinationStream, pino } from "pino";
import { ErrorOutput } from "./error-output.ts";
import { createPrettyDestination } from "./log-pretty.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogMethod {
  (fields: object, message: string): void;
  (message: string): void;
}

/** Fields hold what programs read (model, node, call, attempt, durations with their unit); the message is plain words. */
export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  /** A logger that adds `bindings` to every line. */
  child(bindings: Record<string, unknown>): Logger;
}

export interface LoggerOptions {
  /** Lines below it are dropped; default `info`. */
  readonly level?: LogLevel;
  /** The program, as `drover-router`. */
  readonly name: string;
  /** Where lines go; default standard error, readable when that is a terminal, else JSON. */
  readonly destination?: { write(line: string): void };
}

/** Removed wherever they stand at the top of a line: what callers said and what opens doors. */
const NEVER_LOGGED = ["prompt", "messages", "content", "response", "images", "token", "secret", "authorization"];

export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      name: options.name,
      level: options.level ?? "info",
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: NEVER_LOGGED, remove: true },
    },
    options.destination ?? standardError(),
  );
}

/** Says nothing: for tests and for parts that are built without a log. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

function standardError(): DestinationStream {
  if (process.stderr.isTTY) return createPrettyDestination(process.stderr);
  return new ErrorOutput(2);
}
