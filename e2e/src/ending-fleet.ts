/**
 * The fleet on which the rows of the endings are provoked: a router before two nodes, each with a simulated Ollama and a front
 * that can break its calls, and an endpoint at which nobody listens. All rows share it, because processes are slow to start.
 */
import { connect } from "node:http2";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type Fault, type SimOllama } from "@drover/sim-ollama";
import { status } from "@grpc/grpc-js";
import { vi } from "vitest";
import { framed, rawCall, rawCallOn } from "../../services/router/test/raw-call.ts";
import { type AgentFront, type BreakCall, startAgentFront } from "./agent-front.ts";
import { type DroverProcess, startDrover } from "./drover-process.ts";
import { chatBytes, type Ended, readEnded } from "./ended-call.ts";
import { createGrpcJsCaller } from "./grpc-js-caller.ts";

/** Loaded and well on both nodes. */
export const MODEL = "llama3.2:1b";
/** Nobody may listen there: it is no port of the dynamic range. */
export const DEAD_ENDPOINT = "127.0.0.1:9";

export interface FleetNode {
  readonly name: string;
  readonly ollama: SimOllama;
  readonly agent: DroverProcess;
  readonly front: AgentFront;
}

/** How many nodes were asked, at the router's side and at Ollama's. */
export interface Asked {
  readonly nodes: number;
  readonly ollamas: number;
}

export interface EndingFleet {
  readonly router: DroverProcess;
  readonly nodes: readonly [FleetNode, FleetNode];
  /** On both nodes. */
  setFaults(faults: readonly Fault[]): void;
  breakCalls(how: BreakCall | undefined): void;
  /** Runs `action` and counts who was asked meanwhile. */
  counting<T>(action: () => Promise<T>): Promise<T & { readonly asked: Asked }>;
  /** Takes away what the last row did: no faults, no failures in a row, budget for retries. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

export async function startEndingFleet(): Promise<EndingFleet> {
  const nodes = await Promise.all([startNode("a"), startNode("b")]);
  const endpoints = [...nodes.map(({ front }) => front.address), DEAD_ENDPOINT];
  const router = await startDrover("router", ["--nodes", endpoints.join(",")]);
  const fleet: EndingFleet = {
    router,
    nodes,
    setFaults: (faults) => {
      for (const { ollama } of nodes) ollama.setFaults(faults);
    },
    breakCalls: (how) => {
      for (const { front } of nodes) front.breakCalls(how);
    },
    counting: async (action) => {
      for (const { ollama } of nodes) ollama.clearRequests();
      const before = nodes.map(({ front }) => front.calls);
      const result = await action();
      return {
        ...result,
        asked: {
          nodes: nodes.filter(({ front }, index) => front.calls > (before[index] ?? 0)).length,
          ollamas: nodes.filter(({ ollama }) => ollama.requests().some(({ path }) => INFERENCE.has(path))).length,
        },
      };
    },
    heal: () => heal(fleet),
    close: async () => {
      await router.stop();
      for (const { agent, front, ollama } of nodes) {
        await agent.stop();
        front.close();
        await ollama.close();
      }
    },
  };
  await heal(fleet);
  return fleet;
}

const INFERENCE = new Set(["/api/generate", "/api/chat", "/api/embed"]);

async function startNode(name: string): Promise<FleetNode> {
  const ollama = await createSimOllama({
    models: [
      MODEL,
      "nomic-embed-text",
      { name: "plain", capabilities: ["completion"] },
      // Never in memory: their loads are made to fail.
      "too-large:70b",
      "broken:7b",
    ],
    speed: 2_000,
    loadSeconds: 0.05,
    answerTokens: 20,
    maxLoadedModels: 10,
  });
  const agent = await startDrover("agent", [
    ...["--ollama", ollama.url, "--name", name, "--slots", "1"],
    ...["--first-token-timeout", "1500ms", "--stall-timeout", "700ms"],
  ]);
  return { name, ollama, agent, front: await startAgentFront(agent.address) };
}

/** A success ends a row of failures, and five calls pay for one retry (D: 20 %). */
const CALLS_FOR_HEALTH = 4;

async function heal(fleet: EndingFleet): Promise<void> {
  fleet.setFaults([]);
  fleet.breakCalls(undefined);
  for (const { name } of fleet.nodes) {
    for (let call = 0; call < CALLS_FOR_HEALTH; call++) {
      const ended = await chat(fleet, { "drover-node": name });
      if (ended.status !== status.OK) throw new Error(`node ${name} does not get well: ${ended.message}`);
    }
  }
}

function chat({ router }: EndingFleet, headers: Record<string, string>): Promise<Ended> {
  return rawCall(router.address, "Chat", framed(chatBytes({ model: MODEL })), headers).then(readEnded);
}

export const SMALL_MODEL = "only:1b";

/** One node with one slot and one place in its queue, and a router that has just begun to look for another one. */
export interface SmallFleet {
  readonly router: DroverProcess;
  readonly agent: DroverProcess;
  /** Takes the slot, or the slot and the place, until `empty`. */
  fill(calls: 1 | 2): Promise<void>;
  empty(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

export async function startSmallFleet(): Promise<SmallFleet> {
  const ollama = await createSimOllama({ models: [SMALL_MODEL], loadSeconds: 0 });
  const agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "small", "--queue-limit", "1"]);
  const router = await startDrover("router", ["--nodes", `${agent.address},${DEAD_ENDPOINT}`]);
  const grpc = createGrpcJsCaller(router.address);
  const node = async () => (await grpc.unary(RouterService.method.listNodes, {})).nodes[0];
  await vi.waitUntil(async () => (await node())?.availability === NodeAvailability.AVAILABLE);
  const leave = new Set<() => void>();
  const hold = (): void => {
    const session = connect(`http://${router.address}`);
    session.on("error", () => undefined);
    leave.add(() => session.destroy());
    void rawCallOn(session, { method: "Chat", body: framed(chatBytes({ model: SMALL_MODEL })) });
  };
  return {
    router,
    agent,
    fill: async (calls) => {
      ollama.setFaults([{ kind: "hang", endpoint: "chat" }]);
      hold();
      await vi.waitUntil(async () => (await node())?.load?.active === 1);
      if (calls === 1) return;
      hold();
      await vi.waitUntil(async () => (await node())?.load?.queued === 1);
    },
    empty: async () => {
      for (const end of leave) end();
      leave.clear();
      ollama.setFaults([]);
      await vi.waitUntil(async () => (await node())?.load?.active === 0, { timeout: 5_000 });
    },
    drain: async () => {
      await grpc.unary(RouterService.method.drainNode, { node: "small" });
    },
    close: async () => {
      for (const end of leave) end();
      grpc.close();
      await router.stop();
      await agent.stop();
      await ollama.close();
    },
  };
}
