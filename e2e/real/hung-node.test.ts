/** What callers see when a node hangs and another is free: real routers and agents, on Ollamas that are told to hang. */
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type CallSettings, createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";

const { chat, generate, embed } = InferenceService.method;

interface Node {
  readonly name: string;
  readonly ollama: SimOllama;
  readonly agent: DroverProcess;
}

async function startNode(name: string): Promise<Node> {
  const models = ["hangs", "stops", "loads", "embed-hangs"];
  const ollama = await createSimOllama({ models, slots: 4, speed: 1_000, loadSeconds: 0, answerTokens: 10 });
  return { name, ollama, agent: await startDrover("agent", ["--ollama", ollama.url, "--name", name, "--slots", "4"]) };
}

describe("two nodes of which one hangs", () => {
  let one: Node;
  let two: Node;
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  beforeAll(async () => {
    [one, two] = await Promise.all([startNode("one"), startNode("two")]);
    // Calls take turns, so that each node gets some whatever is known of it.
    router = await startDrover("router", [
      "--nodes",
      `${one.agent.address},${two.agent.address}`,
      "--policy",
      "round-robin",
    ]);
    grpc = createGrpcJsCaller(router.address);
    await untilAvailable(2);
    for (const { name } of [one, two]) {
      const metadata = { "drover-node": name };
      for (const model of ["hangs", "stops"]) await grpc.stream(generate, { model, prompt: "warm" }, { metadata });
      await grpc.unary(embed, { model: "embed-hangs", input: ["warm"] }, { metadata });
    }
    await grpc.stream(generate, { model: "loads", prompt: "warm" }, { metadata: { "drover-node": "one" } });
    // The agent loads with an empty prompt on /api/generate.
    two.ollama.setFaults([{ kind: "delay", endpoint: "generate", model: "loads", delayMs: 7_000 }]);
    one.ollama.setFaults([
      { kind: "hang", endpoint: "chat", model: "hangs" },
      { kind: "hang", endpoint: "embed", model: "embed-hangs" },
      { kind: "slow-first-token", endpoint: "chat", model: "stops", delayMs: 60_000 },
    ]);
  });

  afterAll(async () => {
    grpc?.close();
    for (const program of [router, one?.agent, two?.agent]) await program?.stop("SIGKILL");
    for (const node of [one, two]) await node?.ollama.close();
  });

  const untilAvailable = (count: number) =>
    vi.waitUntil(async () => {
      const { nodes } = await grpc.unary(RouterService.method.listNodes, {});
      return nodes.filter((node) => node.availability === 1).length === count;
    });

  const chatsAt = ({ ollama }: Node, model: string) =>
    ollama.requests().filter(({ path, body }) => path === "/api/chat" && (body as { model?: string }).model === model);

  const say = (model: string) => ({ model, messages: [{ role: "user", content: "Tell me a story" }] });

  async function timed(model: string, settings: CallSettings = {}) {
    const startedMs = performance.now();
    const { error, messages, trailers } = await grpc.stream(chat, say(model), settings);
    const [node] = trailers.get("drover-node");
    const [attempts] = trailers.get("drover-attempts");
    const last = messages.at(-1)?.event.case;
    return {
      code: error?.code,
      details: error?.details ?? "",
      last,
      node,
      attempts,
      tookMs: performance.now() - startedMs,
    };
  }

  /** Calls take turns: some of four go to each node, also when others come in between. */
  const fourOf = (model: string, settings?: CallSettings) =>
    Promise.all([timed(model, settings), timed(model, settings), timed(model, settings), timed(model, settings)]);

  it("answers from the other node within 10 s when an agent stops in the middle of a call", async () => {
    const calls = fourOf("stops");
    await vi.waitFor(() => expect(chatsAt(one, "stops").length).toBeGreaterThan(0));
    one.agent.kill("SIGSTOP");
    try {
      const pinned = await timed("stops", { metadata: { "drover-node": "one" }, deadline: Date.now() + 1_000 });
      expect([pinned.code, pinned.details]).toEqual([
        status.DEADLINE_EXCEEDED,
        expect.stringMatching(/1 attempt, the last on node "one"; no token came/),
      ]);
      expect(pinned.tookMs).toBeLessThan(1_500);
      for (const call of await calls) {
        expect(call).toMatchObject({ code: undefined, last: "done", node: "two" });
        expect(call.tookMs).toBeLessThan(10_000);
      }
    } finally {
      one.agent.kill("SIGCONT");
    }
    await untilAvailable(2);
  });

  // The last: a node that hung twice gets no new calls.
  describe.concurrent("each in its own way", () => {
    it("answers from the other node within 10 s when an Ollama hangs in a prompt", async () => {
      const calls = await fourOf("hangs", { metadata: { "drover-progress": "off" } });
      for (const call of calls) {
        expect(call).toMatchObject({ code: undefined, last: "done", node: "two" });
        expect(call.tookMs).toBeLessThan(10_000);
      }
      const moved = calls.filter(({ attempts }) => attempts === "2");
      expect(moved.length).toBeGreaterThan(0);
      for (const { tookMs } of moved) expect(tookMs).toBeGreaterThan(4_500);
      expect(router.log()).toContain("trying another node beside it");
      // Nothing goes on at the node that lost.
      await vi.waitFor(() => {
        expect(chatsAt(one, "hangs").map(({ end }) => end?.how)).not.toContain(undefined);
      });
    });

    it("answers an Embed from the other node within 10 s", async () => {
      const startedMs = performance.now();
      const asked = Array.from({ length: 4 }, () => grpc.unary(embed, { model: "embed-hangs", input: ["a"] }));
      for (const { embeddings } of await Promise.all(asked)) expect(embeddings).toHaveLength(1);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      expect(performance.now() - startedMs).toBeGreaterThan(4_500);
    });

    it("waits for a load that takes longer than any hang may, without a second attempt", async () => {
      const calls = await fourOf("loads");
      for (const call of calls) expect(call).toMatchObject({ code: undefined, last: "done", attempts: "1" });
      const loaded = calls.filter(({ node }) => node === "two");
      expect(loaded.length).toBeGreaterThan(0);
      for (const { tookMs } of loaded) expect(tookMs).toBeGreaterThan(6_000);
    });

    it("answers a deadline of 1 s after 1 s, and says where the time went", async () => {
      const settings = { metadata: { "drover-node": "one" }, deadline: Date.now() + 1_000 };
      const { code, details, tookMs } = await timed("hangs", settings);
      expect(code).toBe(status.DEADLINE_EXCEEDED);
      expect(details).toMatch(/prefill [01]\.\d s|1 attempt, the last on node "one"/);
      expect(tookMs).toBeGreaterThan(900);
      expect(tookMs).toBeLessThan(1_500);
    });
  });
});
