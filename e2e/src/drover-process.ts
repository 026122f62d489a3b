/**
 * Starts routers and agents as people do: their launcher in a process of its own, with a state directory of its own and ports
 * that the system chooses. Every one that still runs is killed when the test process ends.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Program = "router" | "agent";

export interface DroverProcess {
  /** host:port of its port for callers. */
  readonly address: string;
  readonly opsAddress: string;
  readonly pid: number;
  /** What it wrote to standard error so far, at most the last 1 MiB. */
  log(): string;
  /** Ends it, by default in order; resolves with its exit code, or with null when a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

const START_LIMIT_MS = 15_000;
const LOG_LENGTH = 1024 * 1024;

/** `flags` may repeat those that are set here. Rejects with what it printed when it does not start. */
export async function startDrover(
  program: Program,
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<DroverProcess> {
  const folder = mkdtempSync(join(tmpdir(), `drover-${program}-`));
  const own = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", folder];
  const child = fork(launcherOf(program), [...own, ...flags], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: [],
    env: { ...cleanEnv(), ...env },
  });
  let log = "";
  child.stderr?.on("data", (part: Buffer) => {
    log = (log + part.toString()).slice(-LOG_LENGTH);
  });
  const killNow = (): void => void child.kill("SIGKILL");
  process.once("exit", killNow);
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => {
      process.off("exit", killNow);
      rmSync(folder, { recursive: true, force: true });
      resolve(code);
    });
  });
  const facts = await readyFacts(child, () => log);
  return {
    ...facts,
    pid: child.pid ?? 0,
    log: () => log,
    stop: (signal = "SIGTERM") => {
      child.kill(signal);
      return exited;
    },
    kill: (signal) => void child.kill(signal),
  };
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program that is expected to end by itself; one that does not is killed after the start limit. */
export function runDrover(
  program: Program,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [launcherOf(program), ...flags], { env: { ...cleanEnv(), ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (part: Buffer) => {
    stdout += part.toString();
  });
  child.stderr.on("data", (part: Buffer) => {
    stderr += part.toString();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
  return new Promise((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

function launcherOf(program: Program): string {
  return fileURLToPath(new URL(`../../services/${program}/bin/drover-${program}.js`, import.meta.url));
}

/** Without whatever configures Drover or Ollama on the developer's machine. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(DROVER|OLLAMA|CONSUL|OTEL)_/.test(name)),
  );
}

function readyFacts(child: ChildProcess, log: () => string): Promise<{ address: string; opsAddress: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`it did not start: ${log()}`));
    }, START_LIMIT_MS);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`it ended with ${code}: ${log()}`));
    });
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve(message as { address: string; opsAddress: string });
    });
  });
}
