/**
 * From the word "maintenance" in Consul, and from the kill of an agent, until no call goes to that node any more: through a real
 * router and two real agents that registered themselves.
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
/** Each needs an agent to start. */
const KILLS = 5;
const CALL_EVERY_MS = 10;
/** Calls that begin later than this after the event count as never: the goal is 100 ms. */
const WATCH_MS = 600;
const QUIET_MS = 2_500;
const READY_LIMIT_MS = 60_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** For each round, how long after the event the last call began that went to the node, in ms. */
export interface LeavingTimes {
  readonly maintenance: readonly number[];
  readonly kill: readonly number[];
}

export async function measureLeaving(consul: ConsulServer): Promise<LeavingTimes> {
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
  const startAgent = (name: string): Promise<Program> =>
    start("agent", name, ["--ollama", ollama.url, "--slots", "64"]);
  try {
    let one = await startAgent("one");
    await startAgent("two");
    const router = await start("router", "router", ["--policy", "round-robin"]);
    const transport = createGrpcTransport({ baseUrl: `http://${router.address}` });
    const fleet = createClient(RouterService, transport);
    const inference = createClient(InferenceService, transport);
    const [maintenance, kill]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const path = `/agent/service/maintenance/drover-agent-${await bothAvailable(fleet)}`;
      maintenance.push(await lastCallAfter(inference, () => consul.put(`${path}?enable=true&reason=bench`)));
      await consul.put(`${path}?enable=false`);
    }
    for (let round = 0; round < KILLS; round++) {
      await bothAvailable(fleet);
      kill.push(await lastCallAfter(inference, async () => one.stop()));
      one = await startAgent("one");
    }
    return { maintenance, kill };
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

async function lastCallAfter(inference: Client<typeof InferenceService>, leave: () => Promise<void>): Promise<number> {
  const calls: Promise<CallEnd>[] = [];
  const timer = setInterval(() => void calls.push(callOnce(inference)), CALL_EVERY_MS);
  // The watch asks Consul at most once a second in the long run: what is measured is a word in a quiet Consul.
  await sleep(QUIET_MS);
  const saidMs = performance.now();
  await leave();
  await sleep(WATCH_MS);
  clearInterval(timer);
  const ended = await Promise.all(calls);
  // What was tried first at a node that is dead has a second attempt.
  const picks = ended.filter(({ node, attempts }) => node === "one" || attempts > 1);
  const onNode = picks.map(({ beganMs }) => beganMs - saidMs);
  if (!onNode.some((ms) => ms < 0)) throw new Error("no call went to the node before it left");
  return Math.max(0, ...onNode);
}

interface CallEnd {
  readonly beganMs: number;
  readonly node: string;
  readonly attempts: number;
}

async function callOnce(inference: Client<typeof InferenceService>): Promise<CallEnd> {
  const beganMs = performance.now();
  let node = "";
  let attempts = 0;
  const onTrailer = (trailer: Headers): void => {
    node = trailer.get("drover-node") ?? "";
    attempts = Number(trailer.get("drover-attempts"));
  };
  const messages = [{ role: "user", content: "hi" }];
  try {
    for await (const _ of inference.chat({ model: MODEL, messages }, { onTrailer }));
  } catch {
    // It had a token of the agent that was killed.
    return { beganMs, node: "one", attempts: 1 };
  }
  return { beganMs, node, attempts };
}
