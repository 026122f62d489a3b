/**
 * From the word "maintenance" in Consul until no call goes to that node any more, through a real router and two real agents that
 * registered themselves.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { systemClock } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama } from "@drover/sim-ollama";
import { type Program, startProgram } from "../processes.ts";
import type { ConsulServer } from "./consul-server.ts";

const MODEL = "bench";
const ROUNDS = 10;
const CALL_EVERY_MS = 10;
/** Calls that begin later than this after the word count as never: the goal is 100 ms. */
const WATCH_MS = 600;
const QUIET_MS = 2_500;
const READY_LIMIT_MS = 60_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** For each round, how long after the word the last call began that went to the node, in ms. */
export async function measureMaintenance(consul: ConsulServer): Promise<readonly number[]> {
  const ollama = await createSimOllama({
    models: [MODEL],
    slots: 64,
    speed: 5_000,
    answerTokens: 2,
    clock: systemClock,
  });
  const folder = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const programs: Program[] = [];
  const start = async (program: string, name: string, flags: readonly string[]): Promise<Program> => {
    const ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", join(folder, name)];
    const launcher = new URL(`../../../services/${program}/bin/drover-${program}.js`, import.meta.url);
    const all = [...ports, "--log-level", "error", "--name", name, "--consul", consul.url, ...flags];
    const started = await startProgram(launcher, all);
    programs.push(started);
    return started;
  };
  try {
    for (const name of ["one", "two"]) await start("agent", name, ["--ollama", ollama.url, "--slots", "64"]);
    const router = await start("router", "router", ["--policy", "round-robin"]);
    const transport = createGrpcTransport({ baseUrl: `http://${router.address}` });
    const fleet = createClient(RouterService, transport);
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const one = await bothAvailable(fleet);
      times.push(await lastCallAfter(createClient(InferenceService, transport), consul, one));
    }
    return times;
  } finally {
    for (const program of programs.reverse()) program.stop();
    rmSync(folder, { recursive: true, force: true });
    await ollama.close();
  }
}

/** The id of node "one", once both take calls. */
async function bothAvailable(fleet: Client<typeof RouterService>): Promise<string> {
  for (const endMs = performance.now() + READY_LIMIT_MS; performance.now() < endMs; await sleep(50)) {
    const { nodes } = await fleet.listNodes({});
    const available = nodes.filter(({ availability }) => availability === NodeAvailability.AVAILABLE);
    const one = available.find(({ identity }) => identity?.name === "one")?.identity?.id;
    if (available.length === 2 && one !== undefined) return one;
  }
  throw new Error("the agents did not come, or did not come back from maintenance");
}

async function lastCallAfter(
  inference: Client<typeof InferenceService>,
  consul: ConsulServer,
  nodeId: string,
): Promise<number> {
  const path = `/agent/service/maintenance/drover-agent-${nodeId}`;
  const calls: Promise<{ readonly beganMs: number; readonly node: string }>[] = [];
  const timer = setInterval(() => void calls.push(callOnce(inference)), CALL_EVERY_MS);
  // The watch asks Consul at most once a second in the long run: what is measured is a word in a quiet Consul.
  await sleep(QUIET_MS);
  const saidMs = performance.now();
  await consul.put(`${path}?enable=true&reason=bench`);
  await sleep(WATCH_MS);
  clearInterval(timer);
  const ended = await Promise.all(calls);
  await consul.put(`${path}?enable=false`);
  const onNode = ended.filter(({ node }) => node === "one").map(({ beganMs }) => beganMs - saidMs);
  if (!onNode.some((ms) => ms < 0)) throw new Error("no call went to the node before its maintenance");
  return Math.max(0, ...onNode);
}

async function callOnce(inference: Client<typeof InferenceService>): Promise<{ beganMs: number; node: string }> {
  const beganMs = performance.now();
  let node = "";
  const onTrailer = (trailer: Headers): void => {
    node = trailer.get("drover-node") ?? "";
  };
  const messages = [{ role: "user", content: "hi" }];
  for await (const _ of inference.chat({ model: MODEL, messages }, { onTrailer }));
  return { beganMs, node };
}
