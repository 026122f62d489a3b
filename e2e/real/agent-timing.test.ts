/** What an agent's process learns of time, and does with it, against a simulated Ollama of known speed. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type DroverError, droverErrorFromConnect } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";

const PREFILL_TOKENS_PER_SECOND = 500;
const TOKENS_PER_SECOND = 200;

/** A prompt of about `tokens`, never with the beginning of another one, so that nothing of it is cached. */
const promptOf = (tokens: number): string =>
  `${Math.random().toString(36).slice(2)} ${Array.from({ length: tokens }, (_, i) => `w${i % 7}`).join(" ")}`;

describe("an agent that learns", () => {
  let ollama: SimOllama;
  let agent: DroverProcess;
  let inference: ReturnType<typeof clientsOf>["inference"];
  let operator: ReturnType<typeof clientsOf>["operator"];

  function clientsOf(address: string) {
    const transport = createGrpcTransport({ baseUrl: `http://${address}` });
    return { inference: createClient(InferenceService, transport), operator: createClient(AgentService, transport) };
  }

  beforeAll(async () => {
    ollama = await createSimOllama({
      models: ["chat"],
      speed: TOKENS_PER_SECOND,
      prefillSpeed: PREFILL_TOKENS_PER_SECOND,
      loadSeconds: 0.3,
      answerTokens: 20,
    });
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "node-1"]);
    ({ inference, operator } = clientsOf(agent.address));
  });
  afterAll(async () => {
    await agent?.stop();
    await ollama?.close();
  });

  async function generate(prompt: string, options: { signal?: AbortSignal } = {}): Promise<string> {
    try {
      for await (const _ of inference.generate({ model: "chat", prompt }, options));
      return "OK";
    } catch (error) {
      return Code[ConnectError.from(error).code];
    }
  }

  const runner = async () => (await operator.getStatus({})).load?.runners[0];

  test("tells routers how fast its runner reads, writes and loads", async () => {
    const prompt = promptOf(100);
    expect(await generate(prompt)).toBe("OK");
    expect(await generate(prompt)).toBe("OK");
    const rates = (await runner())?.rates;
    expect(rates?.prefillTokensPerSecond).toBeGreaterThan(0.8 * PREFILL_TOKENS_PER_SECOND);
    expect(rates?.prefillTokensPerSecond).toBeLessThan(1.2 * PREFILL_TOKENS_PER_SECOND);
    expect(rates?.msPerToken).toHaveLength(1);
    expect(rates?.msPerToken[0]).toBeGreaterThan(0.8 * (1_000 / TOKENS_PER_SECOND));
    expect(rates?.msPerToken[0]).toBeLessThan(2 * (1_000 / TOKENS_PER_SECOND));
    expect(Number(rates?.loadTime?.nanos)).toBeGreaterThan(290e6);
  });

  test("sends nothing into a prompt that Ollama still reads for a caller that left, and sends it when that ends", async () => {
    ollama.clearRequests();
    const sent = () => ollama.requests().filter(({ path }) => path === "/api/generate");
    const leave = new AbortController();
    const left = generate(promptOf(1_000), { signal: leave.signal });
    await vi.waitFor(() => expect(sent()[0]?.phase).toBe("prefill"));
    const startedAtMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 300));
    leave.abort();
    expect(await left).toBe("Canceled");
    const next = generate(promptOf(5));
    await vi.waitFor(async () => expect((await operator.getStatus({})).load).toMatchObject({ active: 1, queued: 1 }));
    expect(sent().map(({ end }) => end?.how)).toEqual(["client-closed"]);
    await vi.waitFor(() => expect(sent()).toHaveLength(2), { timeout: 10_000, interval: 5 });
    const cooledMs = performance.now() - startedAtMs;
    expect(await next).toBe("OK");
    // Its own prefill and 20 tokens are 0.2 s: it did not wait inside of Ollama.
    const ranMs = sent()[1]?.end?.afterMs ?? Number.POSITIVE_INFINITY;
    expect(ranMs).toBeLessThan(700);
    expect(cooledMs).toBeGreaterThan(1_500);
    expect(cooledMs).toBeLessThan(5_000);
    expect((await operator.getStatus({})).load).toMatchObject({ active: 0, queued: 0 });
  });

  test("does not wait for a prefill that an Ollama since 0.30 has stopped", { timeout: 20_000 }, async () => {
    const newer = await createSimOllama({ models: ["chat"], version: "0.30.1", doesPrefillOutliveCancel: false });
    const beside = await startDrover("agent", ["--ollama", newer.url]);
    try {
      const clients = clientsOf(beside.address);
      const leave = new AbortController();
      const prompt = promptOf(30_000);
      const left = clients.inference.generate({ model: "chat", prompt }, { signal: leave.signal });
      const ended = left[Symbol.asyncIterator]()
        .next()
        .catch(() => undefined);
      await vi.waitFor(() => expect(newer.requests().some(({ phase }) => phase === "prefill")).toBe(true), 10_000);
      leave.abort();
      await ended;
      await vi.waitFor(
        async () => expect((await clients.operator.getStatus({})).load).toMatchObject({ active: 0 }),
        2_000,
      );
    } finally {
      await beside.stop();
      await newer.close();
    }
  });

  test("refuses at once what would wait longer than it can, and says when to come back", async () => {
    ollama.setFaults([{ kind: "slow-first-token", delayMs: 1_500, times: 3 }]);
    for (let i = 0; i < 3; i++) expect(await generate(promptOf(5))).toBe("OK");
    const leave = new AbortController();
    ollama.setFaults([{ kind: "hang", afterChunks: 2, times: 1 }]);
    const running = generate(promptOf(5), { signal: leave.signal });
    await vi.waitFor(async () => expect((await operator.getStatus({})).load?.active).toBe(1));
    const startedAtMs = performance.now();
    const refused = await refusalOf({ timeoutMs: 400 }, { headers: { "drover-max-wait-ms": "5" } });
    for (const { kind, retryAfterMs } of refused) {
      expect(kind).toBe("wait_exceeded");
      expect(retryAfterMs).toBeGreaterThan(400);
      expect(retryAfterMs).toBeLessThan(5_000);
    }
    expect(performance.now() - startedAtMs).toBeLessThan(400);
    leave.abort();
    await running;
  });

  test("loads one runner for callers that name what Ollama takes anyway", async () => {
    ollama.clearRequests();
    for (const options of [{}, { numCtx: 4_096 }, { numBatch: 512, numGpu: -1 }, {}]) {
      for await (const _ of inference.generate({ model: "chat", prompt: promptOf(5), options }));
    }
    const sent = ollama.requests().filter(({ path }) => path === "/api/generate");
    expect(sent.map(({ body }) => (body as { prompt: string }).prompt === "")).toEqual([false, false, false, false]);
    expect(sent[1]?.body).toMatchObject({ options: { num_ctx: 4_096 } });
    expect((await operator.getStatus({})).load?.runners).toHaveLength(1);
  });

  async function refusalOf(...calls: { timeoutMs?: number; headers?: Record<string, string> }[]) {
    const errors: DroverError[] = [];
    for (const options of calls) {
      try {
        for await (const _ of inference.generate({ model: "chat", prompt: "x" }, options));
      } catch (error) {
        const refusal = droverErrorFromConnect(ConnectError.from(error));
        if (refusal !== undefined) errors.push(refusal);
      }
    }
    expect(errors).toHaveLength(calls.length);
    return errors;
  }
});
