/**
 * A Consul of its own for `npm start -- --consul`: one agent in development mode, on loopback and ports that are free, which
 * forgets everything when it ends.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { bindSocket, type Clock, ConfigError, type Lifecycle, parseHostPort, sleep } from "@drover/platform";
import { CONSUL_NOT_FOUND } from "./consul-keeper.ts";
import { StartError } from "./start-error.ts";

const LEADER_LIMIT_MS = 20_000;
const INTERVAL_MS = 100;
const KEEPER = fileURLToPath(new URL("./consul-keeper.ts", import.meta.url));
const NOT_FOUND =
  "--consul: there is no `consul` on PATH. Get it at https://developer.hashicorp.com/consul/install, or leave --consul away.";

export interface ConsulSurroundings {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly lifecycle: Lifecycle;
  readonly print: (text: string) => void;
  /** Ends `npm start` with exit code 1. */
  readonly fail: () => void;
}

/**
 * Resolves with its URL once it has a leader. Rejects, in words for people, with a ConfigError when there is no `consul`, and with a
 * StartError when it does not start.
 */
export async function startConsul(surroundings: ConsulSurroundings): Promise<string> {
  const { env, lifecycle, print, fail } = surroundings;
  const [http, serf, server] = [await freePort(), await freePort(), await freePort()];
  const flags = ["agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", http];
  const ports = ["-serf-lan-port", serf, "-server-port", server, "-dns-port", "-1", "-grpc-port", "-1"];
  // Of a process group of its own: Ctrl-C in a terminal must not end it before the agents have left it.
  const keeper = fork(KEEPER, [...flags, ...ports, "-serf-wan-port", "-1", "-log-level", "err"], {
    env,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    execArgv: [],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => keeper.once("exit", () => resolve()));
  lifecycle.onStop("Consul", async () => {
    if (keeper.connected) keeper.disconnect();
    await ended;
  });
  const url = `http://127.0.0.1:${http}`;
  await hasLeader(keeper, url, surroundings);
  keeper.once("exit", () => {
    if (lifecycle.stopSignal.aborted) return;
    print("\nConsul ended unexpectedly; ending. Start again with npm start.\n");
    fail();
  });
  return url;
}

async function hasLeader(keeper: ChildProcess, url: string, { clock, lifecycle }: ConsulSurroundings): Promise<void> {
  let ended: { readonly code: number | null } | undefined;
  keeper.once("exit", (code) => {
    ended = { code };
  });
  const endMs = clock.nowMs() + LEADER_LIMIT_MS;
  while (clock.nowMs() < endMs && ended === undefined && !lifecycle.stopSignal.aborted) {
    const leader = await fetch(`${url}/v1/status/leader`).then(
      (response) => response.text(),
      () => "",
    );
    if (leader.length > 2) return;
    await sleep(clock, INTERVAL_MS, lifecycle.stopSignal);
  }
  if (ended === undefined) throw new StartError("--consul: Consul has no leader after 20 s.");
  if (ended.code === CONSUL_NOT_FOUND) throw new ConfigError(NOT_FOUND);
  throw new StartError(`--consul: \`consul agent -dev\` ended with ${ended.code ?? "a signal"}.`);
}

async function freePort(): Promise<string> {
  const server = createServer();
  const { address } = await bindSocket(server, { listen: "127.0.0.1:0", isInsecureAllowed: false, flag: "--listen" });
  await new Promise((resolve) => server.close(resolve));
  return String(parseHostPort(address)?.port ?? 0);
}
