/** What SIGTERM does to an agent and to a router: new work goes elsewhere unseen, what runs may end, and a second signal ends it. */
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { type Node, NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";

const { chat } = InferenceService.method;
const { listNodes, drainNode, resumeNode } = RouterService.method;
const MODEL = "chat";
const story = () => ({ model: MODEL, messages: [{ role: "user", content: "Tell me a story" }] });
/** No call of its own ends so late. */
const ENDLESS = { kind: "hang", afterChunks: 2, endpoint: "chat" } as const;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(program: "router" | "agent", ...flags: string[]): Promise<DroverProcess> {
  const started = await startDrover(program, flags);
  ends.push(() => started.stop("SIGKILL"));
  return started;
}

function caller({ address }: DroverProcess): GrpcJsCaller {
  const created = createGrpcJsCaller(address);
  ends.push(() => created.close());
  return created;
}

async function startOllama(): Promise<SimOllama> {
  const ollama = await createSimOllama({ models: [MODEL], slots: 4, speed: 20, loadSeconds: 0, answerTokens: 20 });
  ends.push(() => ollama.close());
  return ollama;
}

/** With `flags` for both. */
async function startPair(...flags: string[]) {
  const ollama = await startOllama();
  const agent = await start("agent", "--ollama", ollama.url, "--slots", "4", ...flags);
  return { ollama, agent, router: await start("router", "--nodes", agent.address, ...flags) };
}

const nodesOf = async (router: GrpcJsCaller): Promise<Record<string, Node>> =>
  Object.fromEntries((await router.unary(listNodes, {})).nodes.map((node) => [node.identity?.name, node]));
const areAvailable = async (router: GrpcJsCaller, count: number) =>
  vi.waitUntil(async () => {
    const nodes = Object.values(await nodesOf(router));
    return nodes.filter(({ availability }) => availability === NodeAvailability.AVAILABLE).length === count;
  });
const chatsAt = (ollama: SimOllama) => ollama.requests().filter(({ path }) => path === "/api/chat");
const isAnswering = (ollama: SimOllama) =>
  vi.waitUntil(() => chatsAt(ollama).some(({ chunks, end }) => chunks > 1 && end === undefined));

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const startMs = performance.now();
  return [await work, performance.now() - startMs];
}

describe("an agent that is told to stop", () => {
  it("drains for all to see, lets its answer end, and places elsewhere unseen what waits and what comes", async () => {
    const [busy, idle] = [await startOllama(), await startOllama()];
    const leaving = await start("agent", "--ollama", busy.url, "--name", "leaving", "--slots", "1");
    const staying = await start("agent", "--ollama", idle.url, "--name", "staying", "--slots", "4");
    const router = caller(await start("router", "--nodes", `${leaving.address},${staying.address}`));
    await areAvailable(router, 2);
    await router.unary(drainNode, { node: "staying" });
    const running = router.stream(chat, story());
    await isAnswering(busy);
    const waiting = router.stream(chat, story());
    await vi.waitUntil(async () => (await nodesOf(router))["leaving"]?.load?.queued === 1);
    await router.unary(resumeNode, { node: "staying" });

    const stopped = leaving.stop();
    await vi.waitUntil(async () => (await nodesOf(router))["leaving"]?.availability === NodeAvailability.DRAINING, {
      interval: 5,
    });
    expect((await nodesOf(router))["leaving"]?.detail).toBe("draining: this program stops");
    const direct = caller(leaving);
    const { condition } = await direct.unary(AgentService.method.getStatus, {});
    expect(condition).toMatchObject({ isDraining: true, drainReason: "this program stops" });
    const refused = await direct.stream(chat, story());
    expect(refused.error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining("drains") });
    expect(refused.trailers.get("grpc-retry-pushback-ms")).toEqual(["5000"]);

    for (const call of [waiting, router.stream(chat, story())]) {
      const { error, trailers } = await call;
      expect([error, trailers.get("drover-node")]).toEqual([undefined, ["staying"]]);
    }
    const { error, messages, trailers } = await running;
    expect([error, messages.at(-1)?.event.case]).toEqual([undefined, "done"]);
    expect(trailers.get("drover-node")).toEqual(["leaving"]);
    expect(await stopped).toBe(0);
    await vi.waitUntil(async () => (await nodesOf(router))["leaving"]?.availability === NodeAvailability.UNREACHABLE);
  });
});

describe("a router that is told to stop", () => {
  it("is not ready at once, says GOAWAY, and lets its answers end", async () => {
    const { ollama, router } = await startPair();
    const grpc = caller(router);
    await areAvailable(grpc, 1);
    const running = grpc.stream(chat, story());
    await isAnswering(ollama);
    const stopped = router.stop();
    const readyz = async (): Promise<number> => (await fetch(`http://${router.opsAddress}/readyz`)).status;
    await vi.waitFor(async () => expect(await readyz()).toBe(503), { interval: 5 });
    // The old connection has its GOAWAY, and there is no new one.
    const late = await grpc.stream(chat, story());
    expect([late.error?.code, late.messages]).toEqual([status.UNAVAILABLE, []]);
    const { error, messages } = await running;
    expect([error, messages.at(-1)?.event.case]).toEqual([undefined, "done"]);
    expect(await stopped).toBe(0);
  });
});

describe("a router and an agent with an answer that takes too long", () => {
  /** A call that never ends by itself, through this program. */
  const endless = async (ollama: SimOllama, program: DroverProcess) => {
    ollama.clearRequests();
    const ended = caller(program).stream(chat, story());
    await isAnswering(ollama);
    return { ended };
  };

  it("end it at their limit, and exit 0", async () => {
    const { ollama, agent, router } = await startPair("--drain-limit", "500ms");
    await areAvailable(caller(router), 1);
    ollama.setFaults([ENDLESS]);
    for (const program of [router, agent]) {
      const { ended } = await endless(ollama, program);
      const [code, tookMs] = await timed(program.stop());
      expect(code).toBe(0);
      expect(tookMs).toBeGreaterThan(450);
      expect(tookMs).toBeLessThan(5_000);
      expect((await ended).error?.code).toBe(status.UNAVAILABLE);
      await vi.waitUntil(() => chatsAt(ollama).every(({ end }) => end?.how === "client-closed"));
    }
  });

  it("end at once by a second signal", async () => {
    const { ollama, agent, router } = await startPair();
    await areAvailable(caller(router), 1);
    ollama.setFaults([ENDLESS]);
    for (const program of [router, agent]) {
      const { ended } = await endless(ollama, program);
      const stopped = program.stop();
      await vi.waitUntil(() => program.log().includes("a second signal ends them now"));
      const [code, tookMs] = await timed(program.stop());
      expect([code, await stopped]).toEqual([1, 1]);
      expect(tookMs).toBeLessThan(2_000);
      expect((await ended).error).toBeDefined();
    }
  });
});
