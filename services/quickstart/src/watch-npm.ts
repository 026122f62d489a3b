/**
 * Notices that the npm which ran `npm start` is gone. npm puts a shell between itself and the program and passes signals to that
 * shell only, so a `kill` of npm, gentle or not, would leave everything running.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "@drover/platform";

export interface WatchOptions {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  /** Aborting it ends the watch. */
  readonly signal: AbortSignal;
  readonly onGone: () => void;
}

const INTERVAL_MS = 300;

/** Without npm it watches nothing: whoever started the program from a shell may leave that shell. */
export function watchNpm({ clock, env, signal, onGone }: WatchOptions): void {
  if (env["npm_lifecycle_event"] !== "start") return;
  const parent = process.ppid;
  const npm = isShell(parent) ? parentOf(parent) : undefined;
  const look = (): void => {
    if (signal.aborted) return;
    if (process.ppid !== parent || (npm !== undefined && parentOf(parent) !== npm)) onGone();
    else timer = clock.after(INTERVAL_MS, look);
  };
  let timer = clock.after(INTERVAL_MS, look);
  signal.addEventListener("abort", () => timer.cancel(), { once: true });
}

/** `sh -c "node …"`. Where the system tells nothing (no /proc) shells replace themselves by the program, as far as is known. */
function isShell(pid: number): boolean {
  return readProc(pid, "cmdline")?.split("\0")[1] === "-c";
}

/** The parent's pid follows the name in parentheses, which may hold anything, and the state. */
function parentOf(pid: number): number | undefined {
  const stat = readProc(pid, "stat");
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
