/** What operators and clients ask about the fleet, through a router in this process. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type FakeAgent, type FakeAgentOptions, startFakeAgent } from "../../routing/src/testing/fake-agent.ts";
import { startRouter } from "../test/running-router.ts";

const MODEL = "llama3.2:1b";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A router with these nodes, all of which have told their status. */
async function fleetOf(...nodes: readonly FakeAgentOptions[]) {
  const agents: FakeAgent[] = [];
  for (const options of nodes) {
    const agent = await startFakeAgent(options);
    ends.push(() => agent.kill());
    agents.push(agent);
  }
  const router = await startRouter("--nodes", agents.map(({ address }) => address).join(","));
  ends.push(() => router.stop());
  const baseUrl = `http://${router.address}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  ends.push(() => sessionManager.abort());
  const transport = createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] });
  const fleet = createClient(RouterService, transport);
  await vi.waitUntil(async () => (await fleet.listNodes({})).nodes.every((node) => node.load !== undefined));
  return { agents, router, fleet, inference: createClient(InferenceService, transport) };
}

async function failureOf(promise: Promise<unknown>): Promise<ConnectError> {
  return promise.then(
    () => expect.unreachable("the call succeeded"),
    (error: unknown) => ConnectError.from(error),
  );
}

const loaded = (more: object = {}) => ({
  runners: [{ model: MODEL, state: RunnerState.LOADED, slots: 1, contextLength: 2048, ...more }],
});

describe("SelectNode", () => {
  it("ranks all nodes by the router's policy with the figures, and sends nothing", async () => {
    const { agents, fleet } = await fleetOf(
      { id: "a", name: "busy", isLoaded: true, load: { active: 1, queued: 2 } },
      { id: "b", name: "idle", isLoaded: true },
      { id: "c", name: "cold" },
    );
    const { ranking, excluded, policy, instead } = await fleet.selectNode({ model: MODEL });
    expect(policy).toBe("weighted");
    expect(ranking.map(({ nodeName, nodeId, cost }) => [nodeName, nodeId, cost])).toEqual([
      ["idle", "b", 0],
      ["busy", "a", 0.03],
      ["cold", "c", 0.08],
    ]);
    expect(ranking[1]?.terms).toEqual({ active: 1, queued: 2, unseen: 0, cold: 0, slots: 1, weight: 100 });
    expect(ranking[2]?.terms).toMatchObject({ cold: 8 });
    expect([excluded, instead]).toEqual([[], ""]);
    expect(agents.map(({ calls }) => calls)).toEqual([0, 0, 0]);
  });

  it("says first where the next call goes, call after call", async () => {
    const { fleet, inference } = await fleetOf({ id: "a" }, { id: "b" }, { id: "c" });
    for (let round = 0; round < 6; round++) {
      const { ranking } = await fleet.selectNode({ model: MODEL });
      let node = "";
      const onTrailer = (trailers: Headers): void => {
        node = trailers.get("drover-node") ?? "";
      };
      for await (const _ of inference.chat({ model: MODEL }, { onTrailer }));
      expect(ranking[0]?.nodeName).toBe(node);
    }
  });

  it("says of each excluded node why, and of endpoints that never answered what is known", async () => {
    const { agents, fleet } = await fleetOf(
      { id: "a", labels: { zone: "eu" } },
      { id: "b", labels: { zone: "us" } },
      { id: "c", labels: { zone: "eu" }, models: ["qwen3:4b"] },
      { id: "d", labels: { zone: "eu" } },
    );
    agents[3]?.setCondition({ isDraining: true });
    const ask = () => fleet.selectNode({ model: MODEL, labels: { zone: "eu" }, capabilities: ["completion"] });
    await vi.waitUntil(async () => (await ask()).excluded.length === 3);
    const { ranking, excluded } = await ask();
    expect(ranking.map(({ nodeName }) => nodeName)).toEqual(["a"]);
    expect(excluded.map(({ nodeName, reason }) => [nodeName, reason])).toEqual([
      ["b", "its labels are not zone=eu"],
      ["c", "does not have the model"],
      ["d", "draining"],
    ]);
  });

  it("says what a call would be told where no node could take it now", async () => {
    const { agents, fleet } = await fleetOf({ id: "a" });
    agents[0]?.setCondition({ isDraining: true });
    await vi.waitUntil(async () => (await fleet.selectNode({ model: MODEL })).ranking.length === 0);
    const { instead, excluded } = await fleet.selectNode({ model: MODEL });
    expect(instead).toBe(`No node that has model "${MODEL}" takes work now (a: draining).`);
    expect(excluded).toHaveLength(1);
    const { instead: lacks } = await fleet.selectNode({ model: MODEL, capabilities: ["vision"] });
    expect(lacks).toContain("does not support vision");
  });

  it("names the nearest models, and the known nodes, for what does not exist", async () => {
    const { fleet } = await fleetOf({ id: "a", name: "first" });
    const model = await failureOf(fleet.selectNode({ model: "llama3.2:1" }));
    expect([model.code, model.rawMessage]).toEqual([Code.NotFound, expect.stringContaining(`Nearest: ${MODEL}`)]);
    const node = await failureOf(fleet.selectNode({ model: MODEL, node: "second" }));
    expect([node.code, node.rawMessage]).toEqual([Code.NotFound, expect.stringContaining("Known nodes: first")]);
    expect((await fleet.selectNode({ model: MODEL, node: "first" })).ranking).toHaveLength(1);
  });

  it.each([
    [{ model: "" }, Code.InvalidArgument, "names no model"],
    [{ model: "gpt-oss:120b-cloud" }, Code.PermissionDenied, "leave your machines"],
    [{ model: MODEL, session: "s".repeat(1_025) }, Code.InvalidArgument, "at most 1024 characters"],
  ])("refuses %o as a call would be", async (request, code, says) => {
    const { fleet } = await fleetOf({ id: "a" });
    const failure = await failureOf(fleet.selectNode(request));
    expect([failure.code, failure.rawMessage]).toEqual([code, expect.stringContaining(says)]);
  });
});

describe("CheckFeatures", () => {
  it("says what a model can do, which nodes have it, and where it is loaded with which context", async () => {
    const { fleet } = await fleetOf(
      { id: "a", load: loaded() },
      { id: "b", capabilities: ["completion", "tools"] },
      { id: "c", models: ["qwen3:4b"] },
    );
    const { model } = await fleet.checkFeatures({ model: "LLAMA3.2:1b" });
    expect(model).toMatchObject({
      name: MODEL,
      capabilities: ["completion", "embedding", "tools"],
      contextLength: 4096,
    });
    expect(model?.copies.map((copy) => [copy.nodeName, copy.isLoaded, copy.loadedContextLength])).toEqual([
      ["a", true, 2048],
      ["b", false, 0],
    ]);
  });

  it("names the nearest models where no node has it", async () => {
    const { fleet } = await fleetOf({ id: "a" });
    const failure = await failureOf(fleet.checkFeatures({ model: "llama3.2" }));
    expect([failure.code, failure.rawMessage]).toEqual([Code.NotFound, expect.stringContaining(`Nearest: ${MODEL}`)]);
  });

  it("is UNAVAILABLE where only nodes that are away have it", async () => {
    const { agents, fleet } = await fleetOf({ id: "a" }, { id: "b", models: ["qwen3:4b"] });
    agents[0]?.kill();
    await vi.waitUntil(async () => {
      const { nodes } = await fleet.listNodes({});
      return nodes.some((node) => node.availability === NodeAvailability.UNREACHABLE);
    });
    expect((await failureOf(fleet.checkFeatures({ model: MODEL }))).code).toBe(Code.Unavailable);
  });
});

describe("EstimateTokens", () => {
  it("goes by what agents have learned of the model, in bytes and not in characters", async () => {
    const rates = (bytesPerToken: number) => loaded({ rates: { bytesPerToken } });
    const { fleet } = await fleetOf({ id: "a", load: rates(2) }, { id: "b", load: rates(3) });
    const text = "äöü".repeat(10);
    expect(await fleet.estimateTokens({ model: MODEL, text })).toMatchObject({
      tokens: 24,
      bytesPerToken: 2.5,
      isLearned: true,
    });
  });

  it("goes by four bytes a token while nothing is learned, and says so", async () => {
    const { fleet } = await fleetOf({ id: "a", load: loaded() });
    expect(await fleet.estimateTokens({ model: MODEL, text: "a".repeat(400) })).toMatchObject({
      tokens: 100,
      bytesPerToken: 4,
      isLearned: false,
    });
    expect((await fleet.estimateTokens({ model: MODEL })).tokens).toBe(0);
  });

  it("counts all texts of a chat, and no image", async () => {
    const { fleet } = await fleetOf({ id: "a" });
    const messages = [
      { role: "user", content: "a".repeat(40), images: [new Uint8Array(1_000)] },
      { role: "tool", content: "b".repeat(36), toolName: "look" },
    ];
    expect((await fleet.estimateTokens({ model: MODEL, messages })).tokens).toBe((4 + 40 + 4 + 36 + 4) / 4);
  });

  it("names the nearest models where no node has it", async () => {
    const { fleet } = await fleetOf({ id: "a" });
    expect((await failureOf(fleet.estimateTokens({ model: "qwen" }))).code).toBe(Code.NotFound);
  });
});

describe("ListNodes", () => {
  it("has what this router sent to each node, what failed there, and the tokens of its answers", async () => {
    const { fleet, inference } = await fleetOf({
      id: "a",
      async *chat(request, { responseTrailer }) {
        if (request.messages.length === 0) throw new ConnectError("no", Code.InvalidArgument);
        responseTrailer.set("drover-prompt-tokens", "7");
        responseTrailer.set("drover-generated-tokens", "3");
        yield { event: { case: "done", value: { completion: { doneReason: "stop" } } } };
      },
    });
    const messages = [{ role: "user", content: "hi" }];
    for (const each of [messages, messages, []]) {
      const answer = inference.chat({ model: MODEL, messages: each });
      await (async () => {
        for await (const _ of answer);
      })().catch(() => undefined);
    }
    const [node] = (await fleet.listNodes({})).nodes;
    expect(node?.totals).toMatchObject({
      attempts: 3n,
      failedAttempts: 1n,
      promptTokens: 14n,
      generatedTokens: 6n,
    });
    expect(node).toMatchObject({ ownAttempts: 0, healthScore: 1 });
  });
});
