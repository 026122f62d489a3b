/**
 * The directory in which a program keeps what must survive a restart: its node id, and a lock, because two programs with one id
 * would be one node to the fleet. Other rooms keep their own files in it.
 */
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "./config-error.ts";
import type { Logger } from "./log.ts";
import { randomId } from "./rng.ts";

export interface StateDir {
  readonly dir: string;
  /** A UUID, made once and kept. */
  readonly nodeId: string;
  /** The content of a file in it; undefined: there is none. */
  read(name: string): string | undefined;
  /** Writes it whole or not at all; undefined removes it. */
  write(name: string, content: string | undefined): void;
  /** Gives the lock back. What was killed before it could is taken over by the next program. */
  release(): void;
}

export interface StateDirOptions {
  readonly dir: string;
  readonly log: Logger;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `${XDG_STATE_HOME:-~/.local/state}/drover/<program>-<port>`. */
export function defaultStateDir(
  program: string,
  port: number,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const xdg = env["XDG_STATE_HOME"];
  const base = xdg === undefined || xdg === "" ? join(homedir(), ".local", "state") : xdg;
  return join(base, "drover", `${program}-${port}`);
}

/** Creates the directory where it is missing. Throws a ConfigError when another program holds it or when it cannot be used. */
export function openStateDir(options: StateDirOptions): StateDir {
  const { dir, log } = options;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const lock = takeLock(join(dir, "lock"), dir, log);
    return {
      dir,
      nodeId: readOrMakeId(join(dir, "node-id"), log),
      read: (name) => readIfThere(join(dir, name)),
      write: (name, content) => replaceFile(join(dir, name), content),
      release: () => releaseLock(join(dir, "lock"), lock),
    };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ConfigError(
      `--state-dir ${dir}: cannot be used (${code}); choose a directory that this user may write to.`,
      {
        cause: error,
      },
    );
  }
}

function readOrMakeId(file: string, log: Logger): string {
  const stored = readIfThere(file)?.trim().toLowerCase();
  if (stored !== undefined && UUID.test(stored)) return stored;
  const nodeId = randomId();
  if (stored !== undefined) log.warn({ file, node: nodeId }, "the node id was unreadable; this node gets a new one");
  replaceFile(file, `${nodeId}\n`);
  return nodeId;
}

/** Renamed into place with its content synced: a crash leaves the old content or the new one. */
function replaceFile(file: string, content: string | undefined): void {
  if (content === undefined) return rmSync(file, { force: true });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, content, { mode: 0o600, flush: true });
  renameSync(fresh, file);
}

/** The lock's content: who holds it. `startedAt` tells a process from a later one with the same pid. */
interface Holder {
  readonly pid: number;
  readonly startedAt: string;
}

/** Linked into place complete, so that nobody ever reads half a lock; returns its content. */
function takeLock(file: string, dir: string, log: Logger): string {
  const mine = JSON.stringify({ pid: process.pid, startedAt: startOf(process.pid) } satisfies Holder);
  const fresh = `${file}.${randomId()}`;
  writeFileSync(fresh, mine, { mode: 0o600 });
  try {
    if (tryLink(fresh, file)) return mine;
    const found = readIfThere(file);
    if (found !== undefined && isAlive(found)) throw held(dir, found);
    if (found !== undefined) {
      log.warn({ file }, "took over the lock of a program that is gone");
      removeStale(file, found, dir);
    }
    if (tryLink(fresh, file)) return mine;
    throw held(dir, readIfThere(file) ?? "");
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Two programs may find the same stale lock: the slower one would move away the other's new lock, sees it, and puts it back. */
function removeStale(file: string, stale: string, dir: string): void {
  const aside = `${file}.${randomId()}`;
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  const moved = readIfThere(aside) ?? "";
  if (moved !== stale) tryLink(aside, file);
  rmSync(aside, { force: true });
  if (moved !== stale) throw held(dir, moved);
}

function releaseLock(file: string, mine: string): void {
  if (readIfThere(file) === mine) rmSync(file, { force: true });
}

function held(dir: string, content: string): ConfigError {
  const pid = parseHolder(content)?.pid;
  const who = pid === undefined ? "another program" : `another program (process ${pid})`;
  return new ConfigError(
    `--state-dir ${dir}: in use by ${who}, most likely one that runs already: stop that one, or give this one its own --listen, --ops-listen and --state-dir.`,
  );
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    chmodSync(to, 0o600);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** A lock that is not ours to read is nobody's: we write it whole or not at all. */
function isAlive(content: string): boolean {
  const holder = parseHolder(content);
  if (holder === undefined) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to another user.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  // A container's program has the same pid after each restart, so the pid alone proves nothing.
  return holder.startedAt === startOf(holder.pid);
}

function parseHolder(content: string): Holder | undefined {
  try {
    const { pid, startedAt } = JSON.parse(content) as Partial<Holder>;
    return Number.isSafeInteger(pid) && pid !== undefined && pid > 0 ? { pid, startedAt: startedAt ?? "" } : undefined;
  } catch {
    return undefined;
  }
}

/** Boot and start time of a process where /proc tells (Linux); else empty, and the pid alone decides. */
function startOf(pid: number): string {
  const stat = readIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses and may hold anything; the 22nd is the start in ticks since boot.
  const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return ticks === undefined ? "" : `${readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? ""}/${ticks}`;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // ESRCH: the process ended while its /proc file was read.
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}
