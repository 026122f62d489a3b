/**
 * A real Consul for tests: a server, or a client agent of one, on loopback with ports and data of its own, that can be killed,
 * stopped, continued, wiped and started again at the same address. Nothing of it outlives the test process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

export interface RealConsul {
  /** `http://127.0.0.1:PORT`, the same after a restart. */
  readonly url: string;
  readonly pid: number;
  /** Where client agents join a server. */
  readonly serfAddress: string;
  /** Asks its HTTP API; `path` without `/v1`. Returns the parsed answer, and throws on any status but 200. */
  ask(method: "GET" | "PUT", path: string, body?: unknown): Promise<unknown>;
  signal(signal: NodeJS.Signals): void;
  /** Kills it and forgets all its data, as a lost disk does. */
  wipe(): Promise<void>;
  /** Kills it; its data stays. */
  kill(): Promise<void>;
  /** After `kill` or `wipe`. Resolves when it has a leader again. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const START_LIMIT_MS = 30_000;

/** A server; or, with the server that it `joins`, a client agent as it runs on each machine. */
export async function startRealConsul(program: string, joins?: RealConsul): Promise<RealConsul> {
  const folder = mkdtempSync(join(tmpdir(), "drover-consul-"));
  const [http, serf, server] = [await freePort(), await freePort(), await freePort()];
  const url = `http://127.0.0.1:${http}`;
  const role =
    joins === undefined
      ? ["-server", "-bootstrap-expect", "1"]
      : ["-retry-join", joins.serfAddress, "-retry-interval", "1s"];
  const flags = ["agent", ...role, "-node", `node-${serf}`, "-bind", "127.0.0.1", "-client", "127.0.0.1"];
  const ports = ["-http-port", `${http}`, "-serf-lan-port", `${serf}`, "-server-port", `${server}`];
  const off = ["-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1", "-log-level", "err"];
  // The timings of -dev, whose data cannot be kept.
  const fast = ["-hcl", "performance { raft_multiplier = 1 }", "-hcl", "leave_on_terminate = false"];
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const killNow = (): void => void child?.kill("SIGKILL");
  process.once("exit", killNow);

  const start = async (): Promise<void> => {
    const args = [...flags, ...ports, ...off, ...fast, "-data-dir", join(folder, "data")];
    const started = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    exited = new Promise((resolve) => started.once("exit", () => resolve()));
    await hasLeader(url, started);
  };
  const kill = async (): Promise<void> => {
    killNow();
    await exited;
  };
  const wipe = async (): Promise<void> => {
    await kill();
    rmSync(join(folder, "data"), { recursive: true, force: true });
  };
  await start();
  return {
    url,
    serfAddress: `127.0.0.1:${serf}`,
    get pid() {
      return child?.pid ?? 0;
    },
    ask: (method, path, body) => ask(`${url}/v1${path}`, method, body),
    signal: (signal) => void child?.kill(signal),
    wipe,
    kill,
    start,
    close: async () => {
      await kill();
      process.off("exit", killNow);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function ask(url: string, method: string, body: unknown): Promise<unknown> {
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(url, { method, ...content, signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** A server without a leader answers, but knows nothing. */
async function hasLeader(url: string, child: ChildProcess): Promise<void> {
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (part: Buffer) => {
      printed = (printed + part.toString()).slice(-4096);
    });
  }
  const endMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < endMs && child.exitCode === null) {
    const isReady = await ask(`${url}/v1/catalog/nodes`, "GET", undefined).then(
      (nodes) => Array.isArray(nodes) && nodes.length > 0,
      () => false,
    );
    if (isReady) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`consul did not start: ${printed}`);
}
