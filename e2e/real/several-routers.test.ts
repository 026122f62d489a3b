/** Several real routers over the same real agents: they know nothing of each other, and must not get in each other's way. */
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { callSteadily } from "../src/steady-caller.ts";

const { chat } = InferenceService.method;
const { listNodes, drainNode, resumeNode } = RouterService.method;
const MODEL = "chat";
/** That the agents are told; their Ollamas would take many more at once. */
const SLOTS = 2;
const NAMES = ["one", "two"] as const;

interface Node {
  readonly ollama: SimOllama;
  readonly agent: DroverProcess;
  readonly grpc: GrpcJsCaller;
}

interface Router {
  readonly program: DroverProcess;
  readonly grpc: GrpcJsCaller;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const story = () => ({ model: MODEL, messages: [{ role: "user", content: "Tell me a story" }] });

/** Chats at this Ollama, of which the last ones may still run. */
const chatsAt = ({ ollama }: Node) => ollama.requests().filter(({ path }) => path === "/api/chat");

/** The most chats that an Ollama ever had open at once. */
function mostAtOnce(node: Node): number {
  const changes = chatsAt(node).flatMap(({ startedAtMs, end }) => [
    { atMs: startedAtMs, by: 1 },
    // The agent has read the whole answer a moment before the simulator notes that it ended.
    { atMs: startedAtMs + (end?.afterMs ?? Number.POSITIVE_INFINITY) - 5, by: -1 },
  ]);
  changes.sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let open = 0;
  let most = 0;
  for (const { by } of changes) {
    open += by;
    most = Math.max(most, open);
  }
  return most;
}

describe("several routers over the same agents", () => {
  const nodes: Node[] = [];
  const routers: Router[] = [];

  const startRouter = async (): Promise<Router> => {
    const addresses = nodes.map(({ agent }) => agent.address).join(",");
    const program = await startDrover("router", ["--nodes", addresses]);
    const router = { program, grpc: createGrpcJsCaller(program.address) };
    await vi.waitUntil(async () => (await availabilities(router)).every((each) => each === NodeAvailability.AVAILABLE));
    return router;
  };
  const availabilities = async ({ grpc }: Router) =>
    (await grpc.unary(listNodes, {})).nodes.map(({ availability }) => availability);

  beforeAll(async () => {
    for (const name of NAMES) {
      const ollama = await createSimOllama({
        models: [MODEL],
        slots: 64,
        speed: 200,
        loadSeconds: 0,
        answerTokens: 10,
      });
      const agent = await startDrover("agent", ["--ollama", ollama.url, "--name", name, "--slots", `${SLOTS}`]);
      nodes.push({ ollama, agent, grpc: createGrpcJsCaller(agent.address) });
    }
    for (let count = 0; count < 3; count++) routers.push(await startRouter());
  });
  afterAll(async () => {
    for (const { grpc } of [...routers, ...nodes]) grpc.close();
    for (const { program } of routers) await program.stop("SIGKILL");
    for (const { agent, ollama } of nodes) {
      await agent.stop("SIGKILL");
      await ollama.close();
    }
  });

  it.each([2, 3])("%i of them never put more work on a node than it has slots, and use them all", async (count) => {
    for (const { ollama } of nodes) ollama.clearRequests();
    const calls = Array.from({ length: 60 }, (_, index) => routers[index % count]?.grpc.stream(chat, story()));
    for (const ended of await Promise.all(calls)) expect(ended?.error).toBeUndefined();
    expect(nodes.map(mostAtOnce)).toEqual([SLOTS, SLOTS]);
  });

  it("all see a drain that one of them was told, within 100 ms", async () => {
    const [first, ...others] = routers;
    const tookMs: number[] = [];
    for (let round = 0; round < 5; round++) {
      await first?.grpc.unary(drainNode, { node: "one", reason: "new driver" });
      const saidMs = performance.now();
      const isSeen = async (router: Router) => (await availabilities(router)).includes(NodeAvailability.DRAINING);
      await Promise.all(others.map((router) => vi.waitUntil(() => isSeen(router), { interval: 5 })));
      tookMs.push(performance.now() - saidMs);
      await first?.grpc.unary(resumeNode, { node: "one" });
      const isOver = async (router: Router) => !(await isSeen(router));
      await Promise.all(routers.map((router) => vi.waitUntil(() => isOver(router), { interval: 5 })));
    }
    // The others may have been held up by a busy machine.
    expect(Math.min(...tookMs)).toBeLessThan(100);
  });

  it("lose one of them by kill -9, and what it held at the agents is free at once", async () => {
    for (const { ollama } of nodes) {
      ollama.clearRequests();
      ollama.setFaults([{ kind: "hang", afterChunks: 3, endpoint: "chat" }]);
    }
    const doomed = routers.pop();
    const survivor = routers[0];
    if (doomed === undefined || survivor === undefined) throw new Error("there are three routers");
    const lost = Array.from({ length: 4 * SLOTS }, () => doomed.grpc.stream(chat, story()));
    const hasTokens = (node: Node) => chatsAt(node).filter(({ chunks }) => chunks > 0).length === SLOTS;
    await vi.waitUntil(() => nodes.every(hasTokens));
    const load = async ({ grpc }: Node) => {
      const { load } = await grpc.unary(AgentService.method.getStatus, {});
      return [load?.active, load?.queued];
    };
    await vi.waitFor(async () =>
      expect(await Promise.all(nodes.map(load))).toEqual([
        [2, 2],
        [2, 2],
      ]),
    );
    for (const { ollama } of nodes) ollama.setFaults([]);

    await doomed.program.stop("SIGKILL");
    const killedMs = performance.now();
    await vi.waitFor(
      async () =>
        expect(await Promise.all(nodes.map(load))).toEqual([
          [0, 0],
          [0, 0],
        ]),
      { interval: 10 },
    );
    expect(performance.now() - killedMs).toBeLessThan(1_000);
    for (const ended of await Promise.all(lost)) expect(ended.error).toBeDefined();
    for (const node of nodes) {
      const ends = (): unknown[] => chatsAt(node).map(({ end }) => end?.how);
      await vi.waitFor(() => expect(ends()).toEqual(Array(SLOTS).fill("client-closed")), { timeout: 1_000 });
    }
    const calls = Array.from({ length: 2 * SLOTS }, () => survivor.grpc.stream(chat, story()));
    for (const ended of await Promise.all(calls)) expect(ended.error).toBeUndefined();
  });

  it("give up no node after one of them was stopped for 5 s, and no call of it fails", async () => {
    const [stopped] = routers;
    if (stopped === undefined) throw new Error("there is one");
    const caller = callSteadily(stopped.program.address, MODEL, 100);
    await sleep(500);
    stopped.program.kill("SIGSTOP");
    await sleep(5_000);
    stopped.program.kill("SIGCONT");
    const isAllThere = async (): Promise<void> =>
      expect(await availabilities(stopped)).toEqual([NodeAvailability.AVAILABLE, NodeAvailability.AVAILABLE]);
    for (const endMs = performance.now() + 1_500; performance.now() < endMs; await sleep(20)) await isAllThere();
    await caller.stop();
    expect(caller.failures).toEqual([]);
    expect(caller.calls.length).toBeGreaterThan(50);
    expect(stopped.program.log()).not.toMatch(/node lost|silent|trying another node/);
  });
});
