/** What operators see of a fleet through a real router and two real agents, by the side of calls. */
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService, type WatchFleetResponse } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type FollowedStream, type GrpcJsCaller } from "../src/grpc-js-caller.ts";

const { chat } = InferenceService.method;
const { listNodes, watchFleet, selectNode, checkFeatures, estimateTokens, drainNode, resumeNode } =
  RouterService.method;
const MODEL = "llama3.2:1b";
const LIMIT = { timeout: 15_000 };

/** grpc-js leaves colons and commas encoded. */
function decoded(end: object): string {
  return "details" in end ? decodeURIComponent(String(end.details)) : "";
}

describe("a fleet that is watched", () => {
  const ollamas: SimOllama[] = [];
  const agents: DroverProcess[] = [];
  let router: DroverProcess;
  let grpc: GrpcJsCaller;
  let watch: FollowedStream<WatchFleetResponse>;

  const startOllama = (models: readonly string[], port = 0): Promise<SimOllama> =>
    createSimOllama({ models, port, slots: 2, speed: 1_000, loadSeconds: 0, answerTokens: 20 });

  const say = (content: string, metadata: Record<string, string> = {}) =>
    grpc.stream(chat, { model: MODEL, messages: [{ role: "user", content }] }, { metadata });

  /** Reasons of changes of a node since the watch began, or since `from` messages. */
  const reasonsOf = (name: string, from = 0): string[] =>
    watch.messages.slice(from).flatMap(({ event }) => {
      const isNodes = event.case === "nodeChanged" && event.value.node?.identity?.name === name;
      return isNodes ? [event.value.reason] : [];
    });

  const untilTold = (name: string, reason: string, from = 0): Promise<void> =>
    vi.waitFor(() => expect(reasonsOf(name, from).join(" | ")).toContain(reason), LIMIT);

  beforeAll(async () => {
    ollamas.push(await startOllama([MODEL]), await startOllama([MODEL]));
    for (const [index, { url }] of ollamas.entries()) {
      const flags = ["--ollama", url, "--name", `node-${index + 1}`, "--slots", "2", "--labels", `zone=${index + 1}`];
      agents.push(await startDrover("agent", flags));
    }
    const nodes = agents.map(({ address }) => address).join(",");
    router = await startDrover("router", ["--nodes", nodes, "--eject-after", "2", "--eject-time", "1s"]);
    grpc = createGrpcJsCaller(router.address);
    await vi.waitFor(async () => {
      const { nodes } = await grpc.unary(listNodes, {});
      const isUp = (each: (typeof nodes)[number]) => each.availability === NodeAvailability.AVAILABLE;
      expect(nodes.filter(isUp)).toHaveLength(2);
    }, LIMIT);
    watch = grpc.follow(watchFleet, {});
  });

  afterAll(async () => {
    watch?.cancel();
    grpc?.close();
    for (const program of [router, ...agents]) await program?.stop("SIGKILL");
    for (const ollama of ollamas) await ollama.close();
  });

  it("is shown whole at first", async () => {
    await vi.waitFor(() => expect(watch.messages.length).toBeGreaterThan(0), LIMIT);
    const first = watch.messages[0]?.event;
    expect(first?.case).toBe("snapshot");
    if (first?.case !== "snapshot") return;
    expect(first.value.nodes.map((node) => [node.identity?.name, node.sources])).toEqual([
      ["node-1", ["static"]],
      ["node-2", ["static"]],
    ]);
  });

  it("shows load, and afterwards what the calls came to, with tokens, rates, memory and slots", async () => {
    const metadata = { "drover-node": "node-1" };
    const prompt = "a prompt that is long enough to learn from ".repeat(30);
    await Promise.all([say(prompt, metadata), say(prompt, metadata)]);
    await vi.waitFor(() => {
      const loads = watch.messages.flatMap(({ event }) => (event.case === "nodeLoadChanged" ? [event.value] : []));
      expect(loads.at(-1)).toMatchObject({ ownAttempts: 0, healthScore: 1, totals: { attempts: 2n } });
    }, LIMIT);
    await vi.waitFor(async () => {
      const node = (await grpc.unary(listNodes, {})).nodes[0];
      expect(node?.totals).toMatchObject({ attempts: 2n, failedAttempts: 0n });
      // The token that ends each answer may be counted too.
      expect([40, 42]).toContain(Number(node?.totals?.generatedTokens));
      expect(Number(node?.totals?.promptTokens)).toBeGreaterThan(200);
      const runner = node?.load?.runners[0];
      expect(node?.load).toMatchObject({ active: 0, queued: 0, cooling: 0, slotsPerRunner: 2 });
      expect(runner).toMatchObject({ model: MODEL, slots: 2, active: 0, contextLength: 4096 });
      expect(Number(runner?.sizeBytes)).toBeGreaterThan(0);
      expect(runner?.rates?.prefillTokensPerSecond).toBeGreaterThan(0);
      expect(runner?.rates?.bytesPerToken).toBeGreaterThan(1);
    }, LIMIT);
  });

  it("answers what a call would meet: the node, the model, the tokens", async () => {
    const { ranking, excluded } = await grpc.unary(selectNode, { model: MODEL, labels: { zone: "2" } });
    expect(ranking.map(({ nodeName }) => nodeName)).toEqual(["node-2"]);
    expect(excluded.map(({ nodeName, reason }) => `${nodeName}: ${reason}`)).toEqual([
      "node-1: its labels are not zone=2",
    ]);
    const { model } = await grpc.unary(checkFeatures, { model: MODEL });
    expect(model?.copies.map((copy) => [copy.nodeName, copy.isLoaded])).toEqual([
      ["node-1", true],
      ["node-2", false],
    ]);
    const text = "a prompt that is long enough to learn from ".repeat(30);
    const { tokens, isLearned } = await grpc.unary(estimateTokens, { model: MODEL, text });
    const counted = Number((await grpc.unary(listNodes, {})).nodes[0]?.totals?.promptTokens) / 2;
    expect(isLearned).toBe(true);
    expect(tokens).toBeGreaterThan(counted * 0.7);
    expect(tokens).toBeLessThan(counted * 1.3);
    const failure = await grpc.unary(checkFeatures, { model: "llama3.2" }).catch((error: ServiceError) => error);
    expect(failure).toMatchObject({ code: status.NOT_FOUND });
    expect(decoded(failure)).toContain(`Nearest: ${MODEL}`);
  });

  it("shows drain and resume with the operator's reason", async () => {
    await grpc.unary(drainNode, { node: "node-1", reason: "new fan" });
    await untilTold("node-1", "draining: new fan");
    const from = watch.messages.length;
    await grpc.unary(resumeNode, { node: "node-1" });
    await untilTold("node-1", "takes work", from);
  });

  it("shows that a node is ejected, and is back", async () => {
    const metadata = { "drover-node": "node-1" };
    ollamas[0]?.setFaults([{ kind: "end-without-done", endpoint: "chat" }]);
    const from = watch.messages.length;
    for (let count = 0; count < 2; count++) expect((await say("hi", metadata)).error).toBeDefined();
    await untilTold("node-1", "ejected after 2 failures in a row", from);
    const [node] = (await grpc.unary(listNodes, {})).nodes;
    expect(node).toMatchObject({ availability: NodeAvailability.EJECTED, healthScore: 0 });
    ollamas[0]?.setFaults([]);
    await vi.waitFor(async () => expect((await say("hi", metadata)).error).toBeUndefined(), LIMIT);
    await untilTold("node-1", "back from ejection", from);
  });

  it("shows a model that is new on a node", async () => {
    const from = watch.messages.length;
    const { address } = ollamas[1] as SimOllama;
    await ollamas[1]?.close();
    ollamas[1] = await startOllama([MODEL, "qwen3:4b"], Number(address.slice(address.lastIndexOf(":") + 1)));
    await untilTold("node-2", "has qwen3:4b now", from);
    const { model } = await grpc.unary(checkFeatures, { model: "qwen3:4b" });
    expect(model?.copies.map((copy) => copy.nodeName)).toEqual(["node-2"]);
  });

  it("shows at once that an agent was killed", async () => {
    const from = watch.messages.length;
    agents[1]?.kill("SIGKILL");
    const startMs = performance.now();
    await vi.waitFor(() => expect(reasonsOf("node-2", from).length).toBeGreaterThan(0), { ...LIMIT, interval: 5 });
    expect(performance.now() - startMs).toBeLessThan(2_000);
    const last = watch.messages.findLast(({ event }) => event.case === "nodeChanged")?.event;
    expect(last?.case === "nodeChanged" && last.value.node?.availability).toBe(NodeAvailability.UNREACHABLE);
  });

  it("ends with UNAVAILABLE when the router stops, at once", async () => {
    const startMs = performance.now();
    const stopped = router.stop();
    const ended = await watch.ended;
    expect(ended.code).toBe(status.UNAVAILABLE);
    expect(decoded(ended)).toBe("This router stops: watch another one, or this one when it is back.");
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(await stopped).toBe(0);
  });
});
