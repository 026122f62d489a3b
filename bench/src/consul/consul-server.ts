/**
 * A real Consul for a benchmark, on loopback, with nothing that outlives it.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, isOnPath } from "../processes.ts";

export interface ConsulServer {
  readonly url: string;
  /** `path` from `/v1` on. */
  put(path: string, body?: object): Promise<void>;
  stop(): void;
}

const START_LIMIT_MS = 30_000;

/** Undefined when there is no `consul` on PATH. */
export async function startConsul(): Promise<ConsulServer | undefined> {
  if (!isOnPath("consul")) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "drover-bench-consul-"));
  const [http, serf, server] = [await freePort(), await freePort(), await freePort()];
  const flags = ["agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", `${http}`];
  const ports = ["-serf-lan-port", `${serf}`, "-server-port", `${server}`];
  const off = ["-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1", "-log-level", "err"];
  const child = spawn("consul", [...flags, ...ports, ...off], { stdio: "ignore", cwd: folder });
  const url = `http://127.0.0.1:${http}`;
  const stop = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", stop);
  const endMs = performance.now() + START_LIMIT_MS;
  while (!(await hasLeader(url))) {
    if (performance.now() > endMs) throw new Error("consul did not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, put: (path, body) => put(`${url}/v1${path}`, body), stop };
}

async function put(url: string, body: object | undefined): Promise<void> {
  const response = await fetch(url, { method: "PUT", ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`PUT ${url} answered ${response.status}: ${text}`);
}

function hasLeader(url: string): Promise<boolean> {
  return fetch(`${url}/v1/catalog/nodes`).then(
    async (response) => (await response.text()).length > 2,
    () => false,
  );
}
