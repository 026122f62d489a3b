/** A client without a router, in one process with agents that the test scripts. */
import { Code, createClient } from "@connectrpc/connect";
import { DroverError as PlatformError, protoDuration } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  endless,
  type FakeAgent,
  type FakeAgentOptions,
  failsWith,
  startFakeAgent,
  twoTokens,
} from "../../../../services/routing/src/testing/fake-agent.ts";
import { DroverError } from "../errors/drover-error.ts";
import { createDirectClient, type DirectClientOptions } from "./create-direct-client.ts";
import { openDirectTransport } from "./direct-transport.ts";

const MODEL = "llama3.2:1b";
const chat = { model: MODEL, messages: [{ role: "user" as const, content: "hello" }] };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function agent(options: FakeAgentOptions): Promise<FakeAgent> {
  const started = await startFakeAgent(options);
  ends.push(() => started.kill());
  return started;
}

function direct(agents: readonly FakeAgent[], options: Partial<DirectClientOptions> = {}) {
  const client = createDirectClient({ agents: agents.map(({ address }) => address), ...options });
  ends.push(() => client.close());
  return client;
}

async function failureOf(promise: Promise<unknown>): Promise<DroverError> {
  const error = await promise.then(
    () => expect.unreachable("the call succeeded"),
    (failure: unknown) => failure,
  );
  if (error instanceof DroverError) return error;
  throw error;
}

describe("a client that holds its fleet", () => {
  it("waits for its first node and is answered by it, with what a router tells", async () => {
    const one = await agent({ id: "one" });
    const client = direct([one], { name: "test program" });
    const result = await client.chat(chat).result();
    expect(result).toMatchObject({ text: "Hello world", node: "one", attempts: 1 });
    expect(result.callId).toMatch(/^[0-9a-f-]{36}$/);
    expect(one.lastHeaders?.get("drover-call")).toBe(result.callId);
    expect(one.routers).toEqual(["test program"]);
    expect((await client.embed({ model: MODEL, input: ["a", "b"] })).embeddings).toHaveLength(2);
    expect(await client.generate({ model: MODEL, prompt: "hi" }).text()).toBe("Hello");
  });

  it("goes on at another node when one fails, and says why it chose", async () => {
    const busy = await agent({
      id: "busy",
      chat: () => failsWith(new PlatformError("ollama_busy", "Ollama is busy.")),
    });
    const well = await agent({ id: "well", load: { active: 3 } });
    const client = direct([busy, well]);
    await vi.waitUntil(async () => (await client.fleet.listNodes()).every(({ name }) => name !== ""));
    const result = await client.chat(chat, { why: true }).result();
    expect([result.node, result.attempts]).toEqual(["well", 2]);
    expect(JSON.stringify(result.why)).toContain("busy");
  });

  it("tells what its node tells while there is no token", async () => {
    const value = { kind: { case: "loading" as const, value: { elapsed: protoDuration(2_000) } } };
    const one = await agent({
      id: "one",
      async *chat() {
        yield { event: { case: "progress", value } };
        yield* twoTokens();
      },
    });
    const told: string[] = [];
    const onProgress = ({ kind }: { readonly kind: string }): void => void told.push(kind);
    expect(await direct([one]).chat(chat, { onProgress }).text()).toBe("Hello world");
    expect(told).toEqual(["loading"]);
  });

  it("answers the questions that a router answers", async () => {
    const client = direct([await agent({ id: "one", name: "first" })]);
    await client.embed({ model: MODEL, input: ["wait for it"] });
    expect((await client.fleet.listModels()).map(({ name }) => name)).toEqual([MODEL]);
    expect((await client.fleet.listNodes())[0]).toMatchObject({ name: "first", sources: ["static"] });
    expect(await client.health()).toBe("SERVING");
    expect(await client.health(RouterService.typeName)).toBe("SERVING");
    expect((await failureOf(client.chat({ ...chat, model: "llama3.3:1b" }).text())).reason).toBe("MODEL_NOT_FOUND");
  });

  it("drains a node as its agent allows", async () => {
    const open = await agent({ id: "open" });
    const guarded = await agent({ id: "guarded", token: "the-secret-token-of-all" });
    const stranger = direct([open, guarded]);
    await vi.waitUntil(async () => (await stranger.fleet.listNodes()).every(({ name }) => name !== ""));
    expect((await stranger.fleet.drainNode("open")).availability).toBe("draining");
    const refused = await failureOf(stranger.fleet.drainNode("guarded"));
    expect([refused.reason, guarded.condition.isDraining]).toEqual(["PERMISSION_DENIED", false]);
    const operator = direct([open, guarded], { adminToken: "the-secret-token-of-all" });
    await vi.waitUntil(async () => (await operator.fleet.listNodes()).every(({ name }) => name !== ""));
    expect((await operator.fleet.drainNode("guarded")).availability).toBe("draining");
  });

  it("opens as many connections to an agent as it was told, and shows them", async () => {
    const one = await agent({ id: "one", chat: endless, queueLimit: 0 });
    const client = direct([one], { connectionPool: { maxConnectionsPerAgent: 2, streamsPerConnection: 1 } });
    expect(client.connectionPools()).toEqual([]);
    const leave = new AbortController();
    const calls = [1, 2, 3].map(() => client.chat(chat, { signal: leave.signal }).text());
    for (const call of calls) call.catch(() => undefined);
    await vi.waitUntil(() => client.connectionPools()[0]?.streams === 3);
    expect(client.connectionPools()).toMatchObject([{ endpoint: one.address, connections: 2, failures: 0 }]);
    leave.abort();
    await vi.waitUntil(() => client.connectionPools()[0]?.streams === 0);
  });

  it("refuses a request over 64 MiB in a router's words", async () => {
    const client = direct([await agent({ id: "one" })]);
    const prompt = "x".repeat(64 * 1024 * 1024);
    for (const call of [
      client.generate({ model: MODEL, prompt }).text(),
      client.embed({ model: MODEL, input: [prompt] }),
    ]) {
      const { reason, message } = await failureOf(call);
      expect([reason, message]).toEqual(["REQUEST_TOO_LARGE", expect.stringContaining("over 64 MiB: send smaller")]);
    }
  });

  it("refuses wrong options before anything is opened", () => {
    expect(() => createDirectClient({ agents: "gpu 1" })).toThrow(DroverError);
    expect(() => createDirectClient({ agents: "gpu-1", timeoutMs: -1 })).toThrow(DroverError);
  });
});

describe("closing it", () => {
  it("cancels running calls at their nodes and leaves nothing to wait for", async () => {
    const left: unknown[] = [];
    const one = await agent({
      id: "one",
      chat: (request, context) => {
        context.signal.addEventListener("abort", () => left.push("left"));
        return endless(request, context);
      },
    });
    const client = direct([one]);
    const watching = failureOf(consume(client.fleet.watch()));
    const texts: string[] = [];
    const call = failureOf(
      (async () => {
        for await (const { text } of client.chat(chat)) texts.push(text);
      })(),
    );
    await vi.waitUntil(() => texts.length === 1);
    await client.close();
    expect((await call).reason).toBe("CLIENT_CLOSED");
    expect((await watching).reason).toBe("CLIENT_CLOSED");
    await vi.waitUntil(() => left.length === 1);
    expect((await failureOf(client.chat(chat).text())).reason).toBe("CLIENT_CLOSED");
    // Resolves only when every connection has ended, Attach included.
    await one.drained();
    await client.close();
  });

  it("cancels calls of other clients of its transport, and refuses later ones", async () => {
    const one = await agent({ id: "one", chat: endless });
    const opened = openDirectTransport({ agents: one.address });
    const fleet = createClient(RouterService, opened.transport);
    const inference = createClient(InferenceService, opened.transport);
    const running = expect(consume(inference.chat(chat))).rejects.toMatchObject({ code: Code.Canceled });
    const watching = expect(consume(fleet.watchFleet({}))).rejects.toThrow(/stops/);
    await vi.waitUntil(() => opened.connectionPools()[0]?.streams === 1);
    await opened.close();
    await Promise.all([running, watching]);
    await expect(inference.embed({ model: MODEL })).rejects.toThrow(/stops/);
    await one.drained();
  });
});

async function consume(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}
