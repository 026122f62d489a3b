/**
 * A Consul of its own for `npm start -- --consul`: one agent in development mode, on loopback and ports that are free, which
 * forgets everything when it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { bindSocket, type Clock, type Lifecycle, parseHostPort, sleep } from "@drover/platform";
import { StartError } from "./start-error.ts";

const LEADER_LIMIT_MS = 20_000;
const INTERVAL_MS = 100;

export interface ConsulSurroundings {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly lifecycle: Lifecycle;
  readonly print: (text: string) => void;
  /** Ends `npm start` with exit code 1. */
  readonly fail: () => void;
}

/** Resolves with its URL once it has a leader. Rejects with a StartError whose words are for people. */
export async function startConsul(surroundings: ConsulSurroundings): Promise<string> {
  const { env, lifecycle, print, fail } = surroundings;
  const [http, serf, server] = [await freePort(), await freePort(), await freePort()];
  const flags = ["agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", http];
  const ports = ["-serf-lan-port", serf, "-server-port", server, "-dns-port", "-1", "-grpc-port", "-1"];
  // Of a process group of its own: Ctrl-C in a terminal must not end it before the agents have left it.
  const child = spawn("consul", [...flags, ...ports, "-serf-wan-port", "-1", "-log-level", "err"], {
    env,
    stdio: "ignore",
    detached: true,
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  lifecycle.onStop("Consul", kill);
  const url = `http://127.0.0.1:${http}`;
  await hasLeader(child, url, surroundings);
  child.once("exit", () => {
    if (lifecycle.stopSignal.aborted) return;
    print("\nConsul ended unexpectedly; ending. Start again with npm start.\n");
    fail();
  });
  return url;
}

async function hasLeader(child: ChildProcess, url: string, { clock, lifecycle }: ConsulSurroundings): Promise<void> {
  let why: string | undefined;
  child.once("error", (error: NodeJS.ErrnoException) => {
    why =
      error.code === "ENOENT"
        ? "--consul: there is no `consul` on PATH. Get it at https://developer.hashicorp.com/consul/install, or leave --consul away."
        : `--consul: \`consul\` cannot be started (${error.code ?? error.message}).`;
  });
  child.once("exit", (code) => {
    why ??= `--consul: \`consul agent -dev\` ended with ${code ?? "a signal"}.`;
  });
  const endMs = clock.nowMs() + LEADER_LIMIT_MS;
  while (clock.nowMs() < endMs && why === undefined && !lifecycle.stopSignal.aborted) {
    const leader = await fetch(`${url}/v1/status/leader`).then(
      (response) => response.text(),
      () => "",
    );
    if (leader.length > 2) return;
    await sleep(clock, INTERVAL_MS, lifecycle.stopSignal);
  }
  throw new StartError(why ?? "--consul: Consul has no leader after 20 s.");
}

async function freePort(): Promise<string> {
  const server = createServer();
  const { address } = await bindSocket(server, { listen: "127.0.0.1:0", isInsecureAllowed: false, flag: "--listen" });
  await new Promise((resolve) => server.close(resolve));
  return String(parseHostPort(address)?.port ?? 0);
}
