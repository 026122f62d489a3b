/**
 * What a NetworkAgentProvider does, whatever it stands on: described once, run over a router and without one, on the same agents.
 */
import { type AgentPreferences, type AgentProvider, DroverError } from "@drover/client";
import { expect, it, vi } from "vitest";
import { EMBED_MODEL, MODEL, OTHER_MODEL } from "./provider-fleet.ts";

const messages = [{ role: "user", content: "Tell me a story" }];
/** Equal requests get equal answers from every node. */
const options = { temperature: 0, numPredict: 8 };

export function describeProvider(open: () => AgentProvider): void {
  it("answers a prompt, a chat and an embedding", async () => {
    const provider = open();
    const answer = await provider.generate("Why is the sky blue?", { model: MODEL, options });
    expect(answer).toMatchObject({ doneReason: "length", generatedTokens: 8, attempts: 1 });
    expect((await provider.chat(messages, { model: MODEL, options })).message.role).toBe("assistant");
    expect((await provider.embed(["a", "b"])).embeddings).toHaveLength(2);
  });

  it("streams, and ends the call at the agent when its loop is left", async () => {
    const provider = open();
    const stream = provider.chat(messages, { model: MODEL, options, stream: true });
    const pieces: string[] = [];
    for await (const { text } of stream) pieces.push(text);
    expect(pieces.length).toBeGreaterThan(2);
    expect((await stream.result()).text).toBe(pieces.join(""));
    for await (const _ of provider.generate("Why?", { model: MODEL, stream: true })) break;
    await idle(provider);
  });

  it("keeps to preferences that travel with a call", async () => {
    const provider = open();
    const nodeFor = (preferences: AgentPreferences) => answeredBy(provider, preferences);
    expect(await nodeFor({ agentId: "b" })).toBe("b");
    expect(await nodeFor({ labels: { zone: "eu" } })).toBe("a");
    const { agent } = await provider.selectAgent(MODEL, { labels: { zone: "us" } });
    expect(await nodeFor({ agentId: agent.id, session: "s" })).toBe("b");
  });

  it("keeps to preferences for which it chooses the agent itself", async () => {
    const provider = open();
    for (const left of ["a", "b"]) {
      const other = left === "a" ? "b" : "a";
      const preferences = { excludeAgents: [other], session: "s" };
      expect(await answeredBy(provider, preferences)).toBe(left);
      const stream = provider.chat(messages, { model: MODEL, options, preferences, stream: true });
      expect(await stream.text()).not.toBe("");
      expect((await stream.result()).node).toBe(left);
    }
    // Everybody was measured, and nobody is that fast.
    const error = await errorOf(provider.generate("Hi", { model: MODEL, preferences: { maxLatencyMs: 0.001 } }));
    expect(error.message).toContain("to the first token lately, and maxLatencyMs is 0.001");
    expect(await answeredBy(provider, { maxLatencyMs: 60_000 })).toMatch(/^[ab]$/);
  });

  it("forwards to one agent alone", async () => {
    const provider = open();
    const agents = await provider.getAgentsByModel(MODEL);
    expect(agents.map(({ name }) => name)).toEqual(["a", "b"]);
    for (const agent of agents) {
      const { node, attempts } = await provider.forwardRequest(agent, { model: MODEL, prompt: "Hi", options });
      expect([node, attempts]).toEqual([agent.name, 1]);
    }
    const streamed = provider.forwardRequest("c", { model: OTHER_MODEL, messages, options, stream: true });
    expect((await streamed.result()).node).toBe("c");
    const error = await errorOf(provider.forwardRequest("c", { model: MODEL, prompt: "Hi" }));
    expect(error).toMatchObject({ reason: "MODEL_NOT_FOUND", facts: { node: "c" } });
  });

  it("shows the fleet with numbers that calls made", async () => {
    const provider = open();
    await idle(provider);
    const before = await provider.getNetworkStatus();
    await answeredBy(provider, { agentId: "a" });
    await vi.waitUntil(async () => (await provider.getNetworkStatus()).totals.attempts > before.totals.attempts);
    const { health, agents, models, totals } = await provider.getNetworkStatus();
    expect(health).toBe("SERVING");
    expect(agents.map(({ name, availability }) => [name, availability])).toEqual(
      ["a", "b", "c"].map((name) => [name, "available"]),
    );
    expect(models.map(({ name }) => name)).toEqual([MODEL, EMBED_MODEL, OTHER_MODEL].sort());
    expect(totals).toMatchObject({
      agents: 3,
      availableAgents: 3,
      models: 3,
      failedAttempts: before.totals.failedAttempts,
    });
    expect(totals.generatedTokens).toBe(before.totals.generatedTokens + 8);
    expect(agents[0]?.latency?.firstTokenMs).toBeGreaterThan(0);
    expect(agents[0]?.latency?.firstTokenMs).toBeLessThan(10_000);
    expect(agents.every(({ healthScore }) => healthScore === 1)).toBe(true);
  });
}

/** Questions whose answers must be the same over a router and without one, asked one after the other of an idle fleet. */
export const QUESTIONS: Readonly<Record<string, (provider: AgentProvider) => Promise<unknown>>> = {
  "an answer": async (provider) => {
    const { text, doneReason, node } = await provider.generate("Why is the sky blue?", { model: MODEL, options });
    return { text, doneReason, node };
  },
  "a chat": async (provider) => {
    const { message, node } = await provider.chat(messages, { model: MODEL, options });
    return { message, node };
  },
  "an answer with a schema": async (provider) => {
    const schema = { type: "object", properties: { age: { type: "integer" } }, required: ["age"] };
    return (await provider.chat(messages, { model: MODEL, format: schema, options: { temperature: 0 } })).parsed;
  },
  "an embedding": async (provider) => (await provider.embed("text")).embeddings,
  "a selection": (provider) => selected(provider, MODEL),
  "a selection again": (provider) => selected(provider, MODEL),
  "a selection by label": (provider) => selected(provider, MODEL, { labels: { zone: "us" } }),
  "a selection without a": (provider) => selected(provider, MODEL, { excludeAgents: ["a"] }),
  "a selection of one agent": (provider) => selected(provider, OTHER_MODEL, { agentId: "c" }),
  "a selection by capability": (provider) => selected(provider, MODEL, { capabilities: ["completion"] }),
  "agents of a model": async (provider) => (await provider.getAgentsByModel(EMBED_MODEL)).map(({ name }) => name),
  "agents of no model": (provider) => provider.getAgentsByModel("llama4"),
  models: async (provider) => (await provider.getNetworkStatus()).models,
  "an unknown model": (provider) => errorFacts(provider.generate("Hi", { model: "llama4" })),
  "an unknown model, misspelt": (provider) => errorFacts(provider.selectAgent("lama3.2:1b")),
  "a model that is no name": (provider) => errorFacts(provider.generate("Hi", { model: "" })),
  "an unknown agent": (provider) =>
    errorFacts(provider.chat(messages, { model: MODEL, preferences: { agentId: "z" } })),
  "an agent without the model": (provider) => errorFacts(provider.forwardRequest("c", { model: MODEL, prompt: "Hi" })),
  "labels that nobody has": (provider) => errorFacts(provider.selectAgent(MODEL, { labels: { zone: "mars" } })),
  "a capability that nobody has": (provider) => errorFacts(provider.selectAgent(MODEL, { capabilities: ["vision"] })),
  "everybody excluded": (provider) =>
    errorFacts(provider.generate("Hi", { model: MODEL, preferences: { excludeAgents: ["a", "b"] } })),
  "an image for a model that cannot see": (provider) => {
    const images = [new Uint8Array([1])];
    return errorFacts(provider.generate("Hi", { model: MODEL, images }));
  },
  "a request that Ollama refuses": (provider) =>
    errorFacts(provider.forwardRequest("a", { model: MODEL, prompt: "Hi", extra: { options: 5 } })),
  "a deadline that passes": async (provider) => {
    const { reason, status } = await errorOf(provider.generate("Hi", { model: MODEL, timeoutMs: 1 }));
    return { reason, status };
  },
};

/** Nothing runs anywhere, and whoever ranks knows it. */
export async function idle(provider: AgentProvider): Promise<void> {
  const isIdle = async (): Promise<boolean> => {
    const { agents } = await provider.getNetworkStatus();
    const { ranking } = await provider.selectAgent(MODEL);
    const isUnseen = ranking.some(({ terms }) => (terms["unseen"] ?? 0) > 0);
    return !isUnseen && agents.every(({ load, ownAttempts }) => load.active + load.queued + ownAttempts === 0);
  };
  await vi.waitUntil(isIdle, { timeout: 15_000, interval: 50 });
}

export async function errorOf(promise: Promise<unknown>): Promise<DroverError> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof DroverError) return error;
  throw new Error(`not a DroverError: ${String(error)}`);
}

async function answeredBy(provider: AgentProvider, preferences: AgentPreferences): Promise<string | undefined> {
  return (await provider.generate("Hi", { model: MODEL, options, preferences })).node;
}

async function selected(provider: AgentProvider, model: string, preferences: AgentPreferences = {}): Promise<unknown> {
  const { agent, ...explained } = await provider.selectAgent(model, preferences);
  return { agent: agent.id, ...explained };
}

/** Without the call's id. */
async function errorFacts(promise: Promise<unknown>): Promise<unknown> {
  const { reason, status, message, facts, node, attempts, tokensReceived, retryAfterMs } = await errorOf(promise);
  return { reason, status, message, facts, node, attempts, tokensReceived, retryAfterMs };
}
