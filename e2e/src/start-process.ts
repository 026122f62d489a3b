/**
 * Runs what `npm start` runs, or `npm start` itself, as people do: no IPC, output into a pipe, state in a folder of its own, in a
 * process group of its own so that a test can press Ctrl-C.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const MAIN = join(CHECKOUT, "services/quickstart/src/main.ts");
const START_LIMIT_MS = 40_000;

export interface StartEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves once standard output holds the text; rejects with all output when it ends or takes too long. */
  shows(text: string | RegExp): Promise<void>;
  /** `host:port` of the router; resolves when everything serves. */
  serves(): Promise<string>;
  /** Every process below this one, with its command line. */
  descendants(): Descendant[];
  signal(signal: NodeJS.Signals): void;
  /** To the whole process group, as a terminal sends Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void;
  readonly ended: Promise<StartEnd>;
  /** For the end of a test: kills the whole group, whatever is left of it. */
  killAll(): void;
}

export interface Descendant {
  readonly pid: number;
  readonly command: string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Through npm instead of directly. */
  readonly isThroughNpm?: boolean;
}

/** Without `--listen` among the flags the router takes a free port. */
export function runStart(flags: readonly string[], options: StartOptions = {}): StartProcess {
  const state = mkdtempSync(join(tmpdir(), "drover-start-test-"));
  const all = flags.includes("--listen") ? flags : ["--listen", "127.0.0.1:0", ...flags];
  const [file, args] =
    options.isThroughNpm === true ? ["npm", ["start", "--", ...all]] : [process.execPath, [MAIN, ...all]];
  const child = spawn(file, args, {
    cwd: CHECKOUT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...cleanEnv(), XDG_STATE_HOME: state, ...options.env },
  });
  const pid = child.pid ?? 0;
  const said = { stdout: "", stderr: "" };
  const looking = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
      for (const look of looking) look();
    });
  }
  const killNow = (): void => quietly(() => process.kill(-pid, "SIGKILL"));
  process.once("exit", killNow);
  const ended = new Promise<StartEnd>((resolve) => {
    child.once("close", (code) => {
      process.off("exit", killNow);
      rmSync(state, { recursive: true, force: true });
      resolve({ code, ...said });
    });
  });
  const shows = (text: string | RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const fail = (why: string): void => finish(() => reject(new Error(`${why}: ${said.stdout}${said.stderr}`)));
      const timer = setTimeout(() => fail(`"${text}" did not come`), START_LIMIT_MS);
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        looking.delete(look);
        settle();
      };
      const look = (): void => {
        if (typeof text === "string" ? said.stdout.includes(text) : text.test(said.stdout)) finish(resolve);
      };
      looking.add(look);
      void ended.then(() => fail("it ended"));
      look();
    });
  return {
    pid,
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    shows,
    serves: async () => {
      await shows(/^Serving at \S+ until Ctrl-C\.$/m);
      return /^Serving at (\S+) /m.exec(said.stdout)?.[1] ?? "";
    },
    descendants: () => descendantsOf(pid),
    signal: (signal) => process.kill(pid, signal),
    signalGroup: (signal) => process.kill(-pid, signal),
    ended,
    killAll: killNow,
  };
}

/** Resolves with those that still live after the limit. */
export async function leftAfter(processes: readonly Descendant[], limitMs = 10_000): Promise<Descendant[]> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const left = processes.filter(({ pid }) => stateOf(pid) !== undefined);
    if (left.length === 0 || performance.now() >= endMs) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Without whatever configures Drover, Ollama or npm on the developer's machine. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(DROVER|OLLAMA|CONSUL|npm)_/.test(name)));
}

function descendantsOf(ancestor: number): Descendant[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const parents = new Map(pids.map((pid) => [pid, stateOf(pid)?.parent]));
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && parent > 1 && (parent === ancestor || isBelow(parent));
  };
  return pids.filter(isBelow).map((pid) => ({ pid, command: read(pid, "cmdline").replaceAll("\0", " ") }));
}

/** Undefined when there is no such process, or only what its parent has not fetched yet. */
function stateOf(pid: number): { readonly parent: number } | undefined {
  const stat = read(pid, "stat");
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" || state === "Z" ? undefined : { parent: Number(parent) };
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // It is gone already.
  }
}
