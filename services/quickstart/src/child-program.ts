/**
 * One program that `npm start` runs as a process of its own: its start, its last words, its end. The IPC channel ties it to
 * this process: it ends by itself when this one is gone, however that came. It does not know what the program does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { type Clock, prettyLine, sleep } from "@drover/platform";
import { readLines } from "./read-lines.ts";

/** What the program said of itself once it served. */
export interface ChildFacts {
  /** `host:port`. */
  readonly address: string;
  /** `host:port` of health and metrics; absent for programs that have none. */
  readonly opsAddress?: string;
}

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type ChildStart =
  | ({ readonly kind: "ready" } & ChildFacts)
  | { readonly kind: "failed"; readonly why: string; readonly code: number | null };

export interface ChildOptions {
  /** For people: "the router", "the agent of sim-fast". */
  readonly title: string;
  /** Path of the launcher, a plain JavaScript file. */
  readonly launcher: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Gets every line that it prints. */
  readonly onLine?: (line: string) => void;
}

/** Enough to see why a program died; older lines are dropped. */
const LINES_KEPT = 5;

/** Where in its code a program failed helps nobody who starts it. */
const STACK_FRAME = /^\s+at /;

/** A machine that is busy with eight programs at once still starts one in this time. */
const START_LIMIT_MS = 30_000;

export class ChildProgram {
  readonly title: string;
  /** Resolves when it serves or when it cannot; never rejects. */
  readonly started: Promise<ChildStart>;
  /** Resolves when the process is gone; never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #lastLines: string[] = [];
  #isRunning = true;

  constructor({ title, launcher, flags, env, clock, onLine }: ChildOptions) {
    this.title = title;
    this.#clock = clock;
    this.#child = spawn(process.execPath, [launcher, ...flags], { env, stdio: ["ignore", "pipe", "pipe", "ipc"] });
    const keep = (raw: string): void => {
      const line = stripVTControlCharacters(prettyLine(raw)).trimEnd();
      onLine?.(line);
      if (line === "" || STACK_FRAME.test(line)) return;
      this.#lastLines.push(line);
      if (this.#lastLines.length > LINES_KEPT) this.#lastLines.shift();
    };
    const outputs = [this.#child.stdout, this.#child.stderr].filter((stream) => stream !== null);
    const isAllRead = Promise.allSettled(outputs.map((stream) => readLines(stream, keep)));
    // Not "close": it never comes once this side has closed the IPC channel.
    const exit = new Promise<ChildEnd>((resolve) => {
      this.#child.once("exit", (code, signal) => resolve({ code, signal }));
      this.#child.once("error", (error) => {
        keep(error.message);
        resolve({ code: 1, signal: null });
      });
    });
    this.ended = exit.then(async (end) => {
      this.#isRunning = false;
      await isAllRead;
      return end;
    });
    this.started = this.#waitForStart();
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** What it printed last, one string per line. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  /**
   * Asks it to stop, and ends it when it has not done so in time. Not by a signal: Ctrl-C has sent it one already, and the second
   * would make it drop its calls.
   */
  async stop(limitMs: number): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const stopped = new AbortController();
    await Promise.race([this.ended, sleep(this.#clock, limitMs, stopped.signal)]);
    stopped.abort();
    this.kill();
    await this.ended;
  }

  /** Ends it at once. */
  kill(): void {
    if (this.#isRunning) this.#child.kill("SIGKILL");
  }

  async #waitForStart(): Promise<ChildStart> {
    const ready = new Promise<ChildStart>((resolve) => {
      this.#child.on("message", (message) => {
        if (isReady(message)) resolve({ kind: "ready", ...factsOf(message) });
      });
    });
    const failed = this.ended.then(({ code, signal }): ChildStart => {
      const why = this.#lastLines.join("\n") || howItEnded({ code, signal });
      return { kind: "failed", why, code };
    });
    const settled = new AbortController();
    const late = sleep(this.#clock, START_LIMIT_MS, settled.signal).then((): ChildStart => {
      if (!settled.signal.aborted) this.kill();
      return { kind: "failed", why: `not ready after ${START_LIMIT_MS / 1000} s`, code: null };
    });
    const start = await Promise.race([ready, failed, late]);
    settled.abort();
    return start;
  }
}

/** "ended with exit code 1", "was ended by SIGKILL". */
export function howItEnded({ code, signal }: ChildEnd): string {
  return signal === null ? `ended with exit code ${code ?? "unknown"}` : `was ended by ${signal}`;
}

function factsOf({ address, opsAddress }: ChildFacts): ChildFacts {
  return { address, ...(typeof opsAddress === "string" ? { opsAddress } : {}) };
}

function isReady(message: unknown): message is ChildFacts {
  return (
    typeof message === "object" &&
    message !== null &&
    "type" in message &&
    message.type === "ready" &&
    "address" in message &&
    typeof message.address === "string"
  );
}
