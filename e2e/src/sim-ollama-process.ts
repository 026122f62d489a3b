/** Starts the simulated Ollama as people do: its launcher in a process of its own. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../services/sim-ollama/bin/drover-sim-ollama.js", import.meta.url));
const START_LIMIT_MS = 15_000;

export interface SimOllamaProcess {
  /** `http://host:port`. */
  readonly url: string;
  readonly address: string;
  readonly pid: number;
  /** Ends it with SIGTERM and resolves with its exit code. */
  close(): Promise<number | null>;
}

/** `flags` as on the command line, without `--listen`. Rejects with what it printed when it does not start. */
export async function startSimOllama(flags: readonly string[]): Promise<SimOllamaProcess> {
  // Flags alone decide: what the caller's shell sets for other programs must not.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DROVER_")));
  const stdio = ["ignore" as const, "pipe" as const, "pipe" as const, "ipc" as const];
  const child = fork(LAUNCHER, ["--listen", "127.0.0.1:0", ...flags], { env, stdio });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const address = await readyAddress(child);
  return {
    url: `http://${address}`,
    address,
    pid: child.pid ?? 0,
    close: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

function readyAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = "";
    const note = (part: Buffer): void => {
      printed = (printed + part.toString()).slice(-4096);
    };
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`sim-ollama did not start: ${printed}`));
    }, START_LIMIT_MS);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`sim-ollama ended with ${code}: ${printed}`));
    });
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve((message as { address: string }).address);
    });
  });
}
