import { Code } from "@connectrpc/connect";
import { SimClock } from "@drover/platform";
import { NodeAvailability } from "@drover/proto/drover/router/v1/router_pb";
import { describe, expect, it } from "vitest";
import { type Clock, runtimeClock } from "../connect/clock.ts";
import { DroverError } from "../errors/drover-error.ts";
import { NetworkAgentProvider } from "../index.ts";
import { AgentProvider } from "./agent-provider.ts";
import { type FakeFleet, type FakeNode, failure, fakeFleet } from "./testing/fake-fleet.ts";

const model = "llama3.2:1b";
const messages = [{ role: "user", content: "Hello?" }];

function providerOf(...nodes: readonly FakeNode[]): { fleet: FakeFleet; provider: AgentProvider } {
  const fleet = fakeFleet(...nodes);
  return { fleet, provider: new AgentProvider(fleet.source) };
}

async function errorOf(promise: Promise<unknown>): Promise<DroverError> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof DroverError) return error;
  throw new Error(`not a DroverError: ${String(error)}`);
}

const lastCall = (fleet: FakeFleet, header: string): string | null | undefined => fleet.calls.at(-1)?.get(header);

describe("its surface", () => {
  it("has the methods that applications are written against, and no others", () => {
    const names = Object.getOwnPropertyNames(AgentProvider.prototype).sort();
    const promised = ["initialize", "generate", "chat", "embed", "selectAgent", "forwardRequest", "getAvailableAgents"];
    const others = ["getAgentsByModel", "getNetworkStatus", "dispose", "constructor"];
    expect(names).toEqual([...promised, ...others].sort());
    expect(Object.getOwnPropertyNames(NetworkAgentProvider.prototype)).toEqual(["constructor"]);
  });

  it("opens nothing before it is used, and once then", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    expect(fleet.opened).toBe(0);
    await Promise.all([provider.getAvailableAgents(), provider.generate("Hi", { model })]);
    expect(fleet.opened).toBe(1);
  });
});

describe("initialize", () => {
  it("resolves when each agent has answered or cannot be reached", async () => {
    const { fleet, provider } = providerOf(
      { name: "a" },
      { name: "b", availability: NodeAvailability.CONNECTING },
      { name: "c", availability: NodeAvailability.UNREACHABLE },
    );
    let isHeard = false;
    const heard = provider.initialize().then(() => {
      isHeard = true;
    });
    while (fleet.listed < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(isHeard).toBe(false);
    fleet.nodes = [{ name: "a" }, { name: "b" }, { name: "c", availability: NodeAvailability.UNREACHABLE }];
    await heard;
    const { listed } = fleet;
    await provider.initialize();
    expect(fleet.listed).toBe(listed);
  });

  it("is content with one agent when the time is up", async () => {
    const { provider } = providerOf({ name: "a" }, { name: "b", availability: NodeAvailability.CONNECTING });
    await provider.initialize({ timeoutMs: 60 });
  });

  it("names what was tried when no agent answers, and may be tried again", async () => {
    const { fleet, provider } = providerOf({ name: "gone", availability: NodeAvailability.UNREACHABLE });
    const error = await errorOf(provider.initialize({ timeoutMs: 60 }));
    expect(error).toMatchObject({ reason: "FLEET_NOT_READY", status: "UNAVAILABLE" });
    expect(error.message).toBe(
      "No agent was heard of within 60 ms. Tried: the fleet of this test. It names gone:50052 (connection refused).",
    );
    fleet.nodes = [];
    expect((await errorOf(provider.initialize({ timeoutMs: 60 }))).message).toContain("It names no agents");
    fleet.nodes = [{ name: "back" }];
    await provider.initialize({ timeoutMs: 60 });
  });

  it("waits for a router that is away, and says what it said last", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    fleet.listFails = failure(Code.Unavailable, "ROUTER_STOPPING");
    const error = await errorOf(provider.initialize({ timeoutMs: 60 }));
    expect(error).toMatchObject({ reason: "ROUTER_STOPPING", status: "UNAVAILABLE" });
    expect(error.message).toContain("Tried: the fleet of this test. It failed: ROUTER_STOPPING.");
    expect(fleet.listed).toBeGreaterThan(1);
  });

  it("tells of a router that hangs at last what it had said before", async () => {
    const { fleet, provider } = providerOf({ name: "gone", availability: NodeAvailability.UNREACHABLE });
    const error = errorOf(provider.initialize({ timeoutMs: 300 }));
    while (fleet.listed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    fleet.listHangs = true;
    expect((await error).message).toContain("It names gone:50052");
  });

  it("fails at once where waiting cannot help, and knows an agent that was taken for a router", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    fleet.listFails = failure(Code.PermissionDenied, "PERMISSION_DENIED");
    expect((await errorOf(provider.initialize())).reason).toBe("PERMISSION_DENIED");
    fleet.listFails = failure(Code.Unimplemented, "NOT_IMPLEMENTED");
    expect((await errorOf(provider.initialize())).message).toContain("@drover/client/direct takes agents");
    expect(fleet.listed).toBe(2);
    expect((await errorOf(provider.initialize({ timeoutMs: 0 }))).reason).toBe("INVALID_ARGUMENT_LOCAL");
  });

  it("leaves no timer when the provider is disposed meanwhile", async () => {
    const clock = new SimClock();
    const fleet = fakeFleet();
    const provider = new AgentProvider(fleet.source, clock);
    const error = errorOf(provider.initialize());
    while (clock.pendingCount === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await provider.dispose();
    expect((await error).reason).toBe("CLIENT_CLOSED");
    expect(clock.pendingCount).toBe(0);
  });

  it("ends when the provider is disposed", async () => {
    const { provider } = providerOf();
    const error = errorOf(provider.initialize());
    await provider.dispose();
    expect((await error).reason).toBe("CLIENT_CLOSED");
  });
});

describe("generate, chat and embed", () => {
  it("answer with promises, or with a stream where asked", async () => {
    const { provider } = providerOf({ name: "a" });
    expect(await provider.generate("Hi", { model })).toMatchObject({ text: "Hello", node: "a" });
    expect((await provider.chat(messages, { model })).message).toEqual({ role: "assistant", content: "Hello" });
    const stream = provider.chat(messages, { model, stream: true });
    const texts: string[] = [];
    for await (const { text } of stream) texts.push(text);
    expect(texts).toEqual(["Hello"]);
    expect((await stream.result()).doneReason).toBe("stop");
    expect(await provider.generate("Hi", { model, stream: true }).text()).toBe("Hello");
  });

  it("send preferences as metadata", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    const preferences = { agentId: "a", labels: { gpu: "a100" }, session: "s1" };
    await provider.generate("Hi", { model, preferences, tenant: "t", maxWaitMs: 500 });
    const sent = ["drover-node", "drover-labels", "drover-session", "drover-tenant", "drover-max-wait-ms"];
    expect(sent.map((header) => lastCall(fleet, header))).toEqual(["a", "gpu=a100", "s1", "t", "500"]);
    await provider.embed("x", { model, preferences });
    expect(lastCall(fleet, "drover-labels")).toBe("gpu=a100");
  });

  it("embed with the one model that can, and ask where there are several or none", async () => {
    const { fleet, provider } = providerOf({ name: "a", models: [model], embeds: ["nomic-embed-text"] });
    expect((await provider.embed(["x", "y"])).embeddings).toHaveLength(2);
    fleet.nodes = [{ name: "a", embeds: ["one", "two"] }];
    expect((await errorOf(provider.embed("x"))).message).toBe("Say which `model` shall embed: several can: one, two.");
    fleet.nodes = [{ name: "a", models: [model] }];
    expect((await errorOf(provider.embed("x"))).message).toContain("no model of the fleet has the capability");
  });

  it("refuse preferences that nobody would read", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    const misplaced = { model, session: "s1" } as { model: string };
    expect((await errorOf(provider.generate("Hi", misplaced))).message).toContain(
      "session must stand in `preferences`",
    );
    const misspelt = { exclude: ["a"] } as object;
    const error = await errorOf(provider.chat(messages, { model, preferences: misspelt }));
    expect(error.message).toContain('There is no preference "exclude"');
    expect((await errorOf(provider.selectAgent(model, { maxLatencyMs: -1 }))).message).toContain(
      "maxLatencyMs must be",
    );
    expect(fleet.calls).toHaveLength(0);
  });
});

describe("agents that the provider chooses", () => {
  it("are none of the excluded ones, by id or name", async () => {
    const { fleet, provider } = providerOf({ name: "a" }, { name: "b" }, { name: "c" });
    const preferences = { excludeAgents: ["a", "id-b"], session: "s1" };
    expect((await provider.generate("Hi", { model, preferences })).node).toBe("c");
    expect([lastCall(fleet, "drover-node"), lastCall(fleet, "drover-session")]).toEqual(["id-c", "s1"]);
    await provider.embed("x", { model, preferences });
    expect(lastCall(fleet, "drover-node")).toBe("id-c");
    const stream = provider.chat(messages, { model, preferences, stream: true });
    expect(await stream.text()).toBe("Hello");
    expect((await stream.result()).node).toBe("c");
  });

  it("are none that were slower than asked for lately, until they are forgotten", async () => {
    let passedMs = 0;
    const clock = { ...runtimeClock, nowMs: () => runtimeClock.nowMs() + passedMs };
    const fleet = fakeFleet({ name: "slow", ttftMs: 900 }, { name: "fast", ttftMs: 10 });
    const provider = new AgentProvider(fleet.source, clock);
    const preferences = { maxLatencyMs: 100 };
    // Not measured yet.
    expect((await provider.generate("Hi", { model, preferences })).node).toBe("slow");
    expect((await provider.generate("Hi", { model, preferences })).node).toBe("fast");
    const { excluded } = await provider.selectAgent(model, preferences);
    expect(excluded[0]?.reason).toBe("took 900 ms to the first token lately, and maxLatencyMs is 100");
    passedMs = 60_001;
    expect((await provider.selectAgent(model, preferences)).agent.name).toBe("slow");
  });

  it("are tried one after the other where the call provably did not run", async () => {
    const { fleet, provider } = providerOf({ name: "a", fails: "NODE_UNREACHABLE" }, { name: "b" });
    const preferences = { capabilities: ["completion"] };
    expect((await provider.generate("Hi", { model, preferences })).node).toBe("b");
    expect(fleet.calls.map((headers) => headers.get("drover-node"))).toEqual(["id-a", "id-b"]);
    fleet.nodes = [{ name: "a", fails: "REQUEST_REJECTED" }, { name: "b" }];
    expect((await errorOf(provider.chat(messages, { model, preferences }))).reason).toBe("REQUEST_REJECTED");
  });

  it("see the calls that were placed just before", async () => {
    const { fleet, provider } = providerOf({ name: "a" }, { name: "b" });
    fleet.ranksByCalls = true;
    const calls = Array.from({ length: 6 }, () =>
      provider.generate("Hi", { model, preferences: { excludeAgents: ["z"] } }),
    );
    const nodes = (await Promise.all(calls)).map(({ node }) => node);
    expect(nodes).toEqual(["a", "b", "a", "b", "a", "b"]);
  });

  it("are left for the next one when they went away between choice and send", async () => {
    const away = { name: "a", isAway: true, availability: NodeAvailability.UNREACHABLE };
    const fleet = fakeFleet(away, { name: "b" });
    const hurried: Clock = {
      nowMs: () => runtimeClock.nowMs() * 20,
      after: (ms, action) => runtimeClock.after(ms / 20, action),
    };
    const provider = new AgentProvider(fleet.source, hurried);
    const preferences = { excludeAgents: ["z"] };
    expect((await provider.generate("Hi", { model, preferences })).node).toBe("b");
    expect((await provider.embed("x", { model, preferences })).embeddings).toHaveLength(1);
    expect(fleet.calls.map((headers) => headers.get("drover-node"))).toEqual(["id-a", "id-b", "id-a", "id-b"]);
    // Two looks for each; the last agent is waited for.
    expect(fleet.listed).toBe(4);
    const many = Array.from({ length: 40 }, () => provider.generate("Hi", { model, preferences }));
    expect(new Set((await Promise.all(many)).map(({ node }) => node))).toEqual(new Set(["b"]));
    // They share their looks: alone they would have asked 80 times.
    expect(fleet.listed).toBeLessThan(24);
    const listed = fleet.listed;
    const waiting = provider.generate("Hi", { model, preferences: { excludeAgents: ["b"] }, timeoutMs: 300 });
    expect([(await errorOf(waiting)).reason, fleet.listed]).toEqual(["DEADLINE_EXCEEDED", listed]);
  });

  it("are at most four", async () => {
    const nodes = ["a", "b", "c", "d", "e"].map((name) => ({ name, fails: "NODE_UNREACHABLE" as const }));
    const { fleet, provider } = providerOf(...nodes);
    const error = await errorOf(provider.generate("Hi", { model, preferences: { excludeAgents: ["z"] } }));
    expect([error.reason, fleet.calls.length]).toEqual(["NODE_UNREACHABLE", 4]);
  });

  it("hear of a caller that leaves, wherever its call is", async () => {
    const { fleet, provider } = providerOf({ name: "a", isEndless: true });
    const preferences = { excludeAgents: ["z"] };
    const leaving = new AbortController();
    const stream = provider.chat(messages, { model, preferences, stream: true, signal: leaving.signal });
    const pieces = stream[Symbol.asyncIterator]();
    expect((await pieces.next()).value?.text).toBe("Hello");
    leaving.abort("enough");
    expect(await errorOf(pieces.next())).toMatchObject({ reason: "CANCELLED", cause: "enough" });

    const gone = AbortSignal.abort("gone before");
    expect(await errorOf(provider.generate("Hi", { model, preferences, signal: gone }))).toMatchObject({
      reason: "CANCELLED",
      cause: "gone before",
    });
    const cancelled = provider.generate("Hi", { model, preferences, stream: true });
    cancelled.cancel();
    expect((await errorOf(cancelled.text())).reason).toBe("CANCELLED");
    expect(fleet.calls).toHaveLength(1);
  });

  it("are left when the loop is, and can be looped over once", async () => {
    const { provider } = providerOf({ name: "a", isEndless: true });
    const stream = provider.chat(messages, { model, preferences: { excludeAgents: ["z"] }, stream: true });
    for await (const _ of stream) break;
    expect(() => stream[Symbol.asyncIterator]()).toThrow("read already");
    expect((await errorOf(stream.result())).reason).toBe("CANCELLED");
  });

  it("are left at once, before they are asked for and while a piece is waited for", async () => {
    const { fleet, provider } = providerOf({ name: "a", isEndless: true });
    const open = () => provider.chat(messages, { model, preferences: { excludeAgents: ["z"] }, stream: true });
    const unused = open();
    await unused[Symbol.asyncIterator]().return?.();
    expect((await errorOf(unused.text())).reason).toBe("CANCELLED");
    expect(fleet.calls).toHaveLength(0);

    const pieces = open()[Symbol.asyncIterator]();
    await pieces.next();
    const waiting = errorOf(pieces.next());
    await pieces.return?.();
    expect((await waiting).reason).toBe("CANCELLED");
  });

  it("share the call's deadline", async () => {
    const { fleet, provider } = providerOf({ name: "a", fails: "NODE_UNREACHABLE" }, { name: "b", isEndless: true });
    const preferences = { excludeAgents: ["z"] };
    const began = performance.now();
    const error = await errorOf(provider.generate("Hi", { model, preferences, timeoutMs: 300 }));
    expect([error.reason, fleet.calls.length]).toEqual(["DEADLINE_EXCEEDED", 2]);
    expect(performance.now() - began).toBeLessThan(2_000);

    let readings = 0;
    const clock = { ...runtimeClock, nowMs: () => readings++ * 1_000 };
    const failing = fakeFleet({ name: "a", fails: "NODE_UNREACHABLE" }, { name: "b", fails: "NODE_UNREACHABLE" });
    await errorOf(new AgentProvider(failing.source, clock).generate("Hi", { model, preferences, timeoutMs: 60_000 }));
    const sent = failing.calls.map((headers) => Number(headers.get("connect-timeout-ms")));
    expect(sent[0]).toBeLessThan(60_000);
    expect(sent[1]).toBeLessThan(sent[0] ?? 0);
  });
});

describe("selectAgent", () => {
  it("gives the agent and explains itself", async () => {
    const { provider } = providerOf({ name: "a" }, { name: "b" }, { name: "c", excluded: "draining: new fan" });
    const selection = await provider.selectAgent(model, { excludeAgents: ["a"] });
    expect(selection.agent).toMatchObject({ id: "id-b", name: "b", endpoint: "b:50052", availability: "available" });
    expect(selection.ranking).toMatchObject([{ nodeId: "id-b", cost: 1, terms: { active: 1, slots: 1 } }]);
    expect(selection.excluded.map(({ nodeName, reason }) => `${nodeName} ${reason}`)).toEqual([
      "c draining: new fan",
      "a named in excludeAgents",
    ]);
    expect(selection.explanation).toBe(
      `b is the best of 1 for model "${model}" by policy weighted: costs 1 (active 1, slots 1). ` +
        "Left out: c: draining: new fan; a: named in excludeAgents.",
    );
    expect((await provider.selectAgent(model)).explanation).toContain("Then b costs 1 (active 1, slots 1).");
  });

  it("says why nobody can take the call", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    const error = await errorOf(provider.selectAgent(model, { excludeAgents: ["a"] }));
    expect(error).toMatchObject({ reason: "NO_NODE_AVAILABLE", status: "UNAVAILABLE", facts: { model } });
    expect(error.message).toBe(
      `No agent can take a call for model "${model}" now. Your preferences rule out every agent that could take the call. ` +
        "Left out: a: named in excludeAgents.",
    );
    fleet.nodes = [{ name: "a", excluded: "does not have the model" }];
    expect((await errorOf(provider.selectAgent(model))).message).toContain(
      "Nobody has it. Left out: a: does not have the model.",
    );
  });

  it("names ten agents of a large fleet", async () => {
    const nodes = Array.from({ length: 30 }, (_, index) => ({ name: `n${index}`, excluded: "draining" }));
    const { provider } = providerOf({ name: "a" }, ...nodes);
    const { explanation, excluded } = await provider.selectAgent(model);
    expect(excluded).toHaveLength(30);
    expect(explanation).toContain("n9: draining; and 20 more.");
  });
});

describe("forwardRequest", () => {
  it("sends each kind of request to its agent alone", async () => {
    const { fleet, provider } = providerOf({ name: "a" }, { name: "b" });
    const [, agent] = await provider.getAvailableAgents();
    if (agent === undefined) throw new Error("no agent");
    expect((await provider.forwardRequest(agent, { model, prompt: "Hi" })).node).toBe("b");
    expect((await provider.forwardRequest("b", { model, messages })).message.content).toBe("Hello");
    expect((await provider.forwardRequest(agent, { model, input: "x" })).embeddings).toHaveLength(1);
    expect(await provider.forwardRequest(agent, { model, messages, stream: true }).text()).toBe("Hello");
    const sent = fleet.calls.map((headers) => headers.get("drover-node"));
    expect(sent).toEqual(["id-b", "b", "id-b", "id-b"]);
  });

  it("tries no other agent", async () => {
    const { fleet, provider } = providerOf({ name: "a", fails: "NODE_UNREACHABLE" }, { name: "b" });
    expect((await errorOf(provider.forwardRequest("a", { model, prompt: "Hi" }))).reason).toBe("NODE_UNREACHABLE");
    expect(fleet.calls).toHaveLength(1);
  });

  it("takes no preferences", async () => {
    const { provider } = providerOf({ name: "a" });
    const request = { model, prompt: "Hi", preferences: {} };
    expect((await errorOf(provider.forwardRequest("a", request))).message).toContain("takes no `preferences`");
    const embedding = { model, input: "x", preferences: {} };
    expect((await errorOf(provider.forwardRequest("a", embedding))).message).toContain("takes no `preferences`");
  });
});

describe("what it knows", () => {
  it("lists agents that take work, and those that have a model", async () => {
    const { provider } = providerOf(
      { name: "a", models: [model] },
      { name: "b", models: [model], availability: NodeAvailability.DRAINING },
      { name: "c", availability: NodeAvailability.UNREACHABLE },
    );
    expect((await provider.getAvailableAgents()).map(({ name }) => name)).toEqual(["a"]);
    expect((await provider.getAgentsByModel(model)).map(({ name }) => name)).toEqual(["a", "b"]);
    expect(await provider.getAgentsByModel("llama4")).toEqual([]);
  });

  it("gives up on questions that nobody answers", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    await provider.getNetworkStatus();
    await provider.selectAgent(model);
    expect([...fleet.askedWithin]).toEqual(["10000"]);
  });

  it("sums up the fleet, with what its own calls measured", async () => {
    const { provider } = providerOf({ name: "a", models: [model], ttftMs: 100 }, { name: "b" });
    await provider.generate("Hi", { model });
    const status = await provider.getNetworkStatus();
    expect(status.health).toBe("SERVING");
    expect(status.agents.map(({ latency }) => latency)).toMatchObject([{ firstTokenMs: 100, samples: 1 }, undefined]);
    expect(status.models.map(({ name }) => name)).toEqual([model]);
    expect(status.pools).toBeUndefined();
    expect(status.totals).toEqual({
      ...{ agents: 2, availableAgents: 2, models: 1, active: 2, queued: 4 },
      ...{ attempts: 6, failedAttempts: 2, promptTokens: 20, generatedTokens: 40 },
    });
  });
});

describe("dispose", () => {
  it("ends running calls with its reason, and refuses later ones", async () => {
    const { provider } = providerOf({ name: "a", isEndless: true });
    const running = provider.chat(messages, { model, stream: true })[Symbol.asyncIterator]();
    await running.next();
    const chosen = provider.chat(messages, { model, stream: true, preferences: { excludeAgents: ["z"] } });
    const others = chosen[Symbol.asyncIterator]();
    await others.next();
    const ends = [errorOf(running.next()), errorOf(others.next())];
    await Promise.all([provider.dispose(), provider.dispose()]);
    for (const error of await Promise.all(ends)) expect(error.reason).toBe("CLIENT_CLOSED");
    const later = [
      provider.initialize(),
      provider.generate("Hi", { model }),
      provider.embed("x"),
      provider.selectAgent(model),
      provider.forwardRequest("a", { model, prompt: "Hi" }),
      provider.getAvailableAgents(),
      provider.getAgentsByModel(model),
      provider.getNetworkStatus(),
    ];
    for (const call of later) expect(await errorOf(call)).toMatchObject({ reason: "CLIENT_CLOSED" });
    expect(() => provider.chat(messages, { model, stream: true })).toThrow("This provider was disposed.");
  });

  it("opens nothing where nothing was opened", async () => {
    const { fleet, provider } = providerOf({ name: "a" });
    await provider.dispose();
    await provider.dispose();
    expect(fleet.opened).toBe(0);
  });
});
