/**
 * Starts the programs of a benchmark as processes, waits until they listen, reads their CPU time, and ends them.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Program {
  readonly address: string;
  readonly pid: number;
  /** Ends it as `kill -9` does. */
  stop(): void;
}

const READY_TIMEOUT_MS = 60_000;

export interface ProgramOptions {
  /** Takes the log line by line; else it goes to standard error. */
  readonly onLog?: (line: string) => void;
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A program of ours: tells `{type: "ready", address}` and ends when this process does. */
export function startProgram(url: URL, args: readonly string[], { onLog, env }: ProgramOptions = {}): Promise<Program> {
  const log = onLog === undefined ? ("inherit" as const) : ("pipe" as const);
  const stdio = ["ignore" as const, "ignore" as const, log, "ipc" as const];
  const child = fork(fileURLToPath(url), args, { stdio, env: { ...process.env, ...env } });
  if (onLog !== undefined && child.stderr !== null) createInterface(child.stderr).on("line", onLog);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail("did not get ready"), READY_TIMEOUT_MS);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`${url.pathname} ${why}`));
    };
    child.once("exit", (code) => fail(`exited with ${code}`));
    child.on("message", (message: { type?: string; address?: string }) => {
      if (message.type !== "ready" || message.address === undefined) return;
      clearTimeout(timer);
      resolve({ address: message.address, pid: child.pid ?? 0, stop: () => end(child) });
    });
  });
}

/** nginx with grpc_pass to `upstream`; undefined when there is no nginx on PATH. */
export async function startNginx(upstream: string): Promise<Program | undefined> {
  if (!isOnPath("nginx")) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "drover-nginx-"));
  const port = await freePort();
  writeFileSync(join(folder, "nginx.conf"), nginxConfiguration(folder, port, upstream));
  const child = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  return {
    address: `127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop() {
      end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One process without a master, so that its CPU time is the relay's. */
function nginxConfiguration(folder: string, port: number, upstream: string): string {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; ${paths.join(" ")} http2_max_concurrent_streams 1000; keepalive_requests 1000000;
  upstream agent { server ${upstream}; keepalive 64; keepalive_requests 1000000; }
  server { listen 127.0.0.1:${port} http2; location / { grpc_pass grpc://agent; grpc_read_timeout 300s; } } }
`;
}

/** User and system time of a process so far, in ms. Linux only: clock ticks of 10 ms from proc(5). */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function end(child: ChildProcess): void {
  child.removeAllListeners("exit");
  child.kill("SIGKILL");
}

export function isOnPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
