import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChatResponse, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { type Node, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type DroverProcess, runDrover, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const { chat, generate, embed } = InferenceService.method;
const { listNodes, listModels, drainNode, resumeNode } = RouterService.method;
const MODEL = "llama3.2:1b";

/** What a test started beside the shared fleet. */
const ends: (() => unknown)[] = [];
/** Of the running test, and of the fleet that tests share: what they wrote is shown when a test fails. */
let own: DroverProcess[] = [];
const shared = new Set<DroverProcess>();
beforeEach(({ onTestFailed }) => {
  own = [];
  onTestFailed(() => {
    for (const { pid, log } of [...shared, ...own]) process.stderr.write(`${pid} said:\n${log().slice(-4_000)}\n`);
  });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(program: "router" | "agent", ...flags: string[]): Promise<DroverProcess> {
  const started = await startDrover(program, flags);
  own.push(started);
  ends.push(() => started.stop("SIGKILL"));
  return started;
}

function caller(address: string): GrpcJsCaller {
  const created = createGrpcJsCaller(address);
  ends.push(() => created.close());
  return created;
}

function textOf(messages: readonly ChatResponse[]): string {
  return messages.map(({ event }) => (event.case === "chunk" ? (event.value.message?.content ?? "") : "")).join("");
}

const say = (model = MODEL, content = "Tell me a story") => ({ model, messages: [{ role: "user", content }] });

async function nodesOf(grpc: GrpcJsCaller): Promise<Node[]> {
  return (await grpc.unary(listNodes, {})).nodes;
}

async function untilAttached(grpc: GrpcJsCaller, count: number): Promise<Node[]> {
  return vi.waitUntil(async () => {
    const nodes = await nodesOf(grpc);
    return nodes.filter((node) => node.availability === 1).length === count ? nodes : undefined;
  });
}

describe("a router with one node", () => {
  let ollama: SimOllamaProcess;
  let agent: DroverProcess;
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  beforeAll(async () => {
    ollama = await startSimOllama([
      ...["--models", `${MODEL},nomic-embed-text,plain=completion`, "--speed", "100"],
      ...["--load-seconds", "0.1", "--answer-tokens", "20"],
    ]);
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--slots", "4"]);
    router = await startDrover("router", ["--nodes", agent.address]);
    shared.add(agent).add(router);
    grpc = createGrpcJsCaller(router.address);
    await untilAttached(grpc, 1);
  });
  afterAll(async () => {
    grpc.close();
    shared.clear();
    expect(await router.stop()).toBe(0);
    expect(await agent.stop()).toBe(0);
    await ollama.close();
  });

  it("lets tokens through as they are made", async () => {
    const { messages, atMs, error, trailers } = await grpc.stream(chat, say());
    expect(error).toBeUndefined();
    const chunks = messages.filter(({ event }) => event.case === "chunk");
    expect(chunks.length).toBeGreaterThan(10);
    // 20 tokens at 100 a second: not all at the end.
    expect((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)).toBeGreaterThan(80);
    expect(messages.at(-1)?.event.case).toBe("done");
    expect([trailers.get("drover-node"), trailers.get("drover-attempts")]).toEqual([["one"], ["1"]]);
    expect(trailers.get("drover-call")).toHaveLength(1);
  });

  it("carries Generate and Embed as well", async () => {
    const generated = await grpc.stream(generate, { model: MODEL, prompt: "Why?" });
    expect(generated.error).toBeUndefined();
    expect(generated.messages.at(-1)?.event.case).toBe("done");
    const embedded = await grpc.unary(embed, { model: "nomic-embed-text", input: ["a", "b"] });
    expect(embedded.embeddings).toHaveLength(2);
    expect(embedded.embeddings[0]?.values.length).toBeGreaterThan(0);
  });

  it.each([
    ["an unknown model", "llama3", status.NOT_FOUND, `Nearest: ${MODEL}`],
    ["an empty model", "", status.INVALID_ARGUMENT, "names no model"],
    ["a model that is no name", "a b", status.INVALID_ARGUMENT, "not a name"],
  ])("refuses %s", async (_, model, code, says) => {
    const { error, messages } = await grpc.stream(chat, say(model));
    expect([error?.code, error?.details]).toEqual([code, expect.stringContaining(says)]);
    expect(messages).toEqual([]);
  });

  it("refuses tools for a model without tools", async () => {
    const tools = [{ function: { name: "clock", parametersJson: '{"type":"object"}' } }];
    const { error } = await grpc.stream(chat, { ...say("plain"), tools });
    expect([error?.code, error?.details]).toEqual([
      status.FAILED_PRECONDITION,
      // The router's words, or the agent's while it has not yet told what the model can do.
      expect.stringMatching(/does not support tools|lacks the capability "tools"/),
    ]);
  });

  it("passes on in Ollama's words what Ollama refuses", async () => {
    const { error } = await grpc.stream(chat, { ...say(), options: { extraOptionsJson: '{"temperature":"hot"}' } });
    expect([error?.code, error?.details]).toEqual([status.INVALID_ARGUMENT, expect.stringContaining("temperature")]);
  });

  it("takes gzip requests", async () => {
    const { error } = await grpc.stream(chat, say(), { metadata: { "grpc-internal-encoding-request": "gzip" } });
    expect(error).toBeUndefined();
  });

  it("refuses 65 MiB before it has read them all, and goes on", async () => {
    const before = (await nodesOf(grpc))[0]?.identity?.name;
    const huge = "x".repeat(65 * 1024 * 1024);
    const { error } = await grpc.stream(chat, say(MODEL, huge));
    expect([error?.code, error?.details]).toEqual([
      status.RESOURCE_EXHAUSTED,
      expect.stringContaining("The request is over 64 MiB"),
    ]);
    expect((await grpc.stream(chat, say())).error).toBeUndefined();
    expect((await nodesOf(grpc))[0]?.identity?.name).toBe(before);
  });

  it("is not hurt by a connection that speaks garbage, or nothing, or leaves in between", async () => {
    const [host = "", port = ""] = router.address.split(":");
    for (const bytes of [
      "",
      "PRI",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage",
      "\x16\x03\x01\x02\x00",
    ]) {
      const socket = connect(Number(port), host);
      socket.on("error", () => undefined);
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.destroy();
    }
    expect((await grpc.stream(chat, say())).error).toBeUndefined();
  });

  it("frees everything when callers leave in the middle", async () => {
    const session = connectHttp2(`http://${router.address}`);
    session.on("error", () => undefined);
    session.destroy();
    const calls = Array.from({ length: 5 }, () => grpc.stream(chat, say(), { deadline: Date.now() + 100 }));
    // The node refuses at once whom it cannot serve in time, once it knows how long its calls take.
    const ends = [status.DEADLINE_EXCEEDED, status.RESOURCE_EXHAUSTED];
    for (const { error } of await Promise.all(calls)) expect(ends).toContain(error?.code);
    await vi.waitUntil(async () => {
      const [node] = await nodesOf(grpc);
      return node?.ownAttempts === 0 && node.load?.active === 0 && node.load.queued === 0;
    });
  });

  it("lists its models over HTTP/1.1 as Connect JSON", async () => {
    const answer = await fetch(`http://${router.address}/drover.router.v1.RouterService/ListModels`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const { models } = (await answer.json()) as { models: { name: string; copies: { nodeName: string }[] }[] };
    expect(models.map((model) => model.name)).toEqual([MODEL, "nomic-embed-text:latest", "plain:latest"]);
    expect(models[0]?.copies.map((copy) => copy.nodeName)).toEqual(["one"]);
  });

  it("refuses a foreign Host header", async () => {
    const code = await new Promise((resolve, reject) => {
      const call = request(`http://${router.address}/drover.router.v1.RouterService/ListNodes`, {
        method: "POST",
        headers: { "content-type": "application/json", host: "evil.example" },
      });
      call.on("response", (response) => resolve(response.resume().statusCode));
      call.on("error", reject);
      call.end("{}");
    });
    expect(code).toBe(403);
  });

  it("waits while the node's Ollama is away and says so when patience ends", async () => {
    const solo = await startSimOllama(["--models", "solo", "--load-seconds", "0.1", "--answer-tokens", "5"]);
    const soloAgent = await start("agent", "--ollama", solo.url, "--name", "solo");
    const soloRouter = await start("router", "--nodes", soloAgent.address, "--max-wait", "1s");
    const soloGrpc = caller(soloRouter.address);
    await untilAttached(soloGrpc, 1);
    const port = solo.address.split(":")[1] ?? "";
    await solo.close();
    await vi.waitUntil(async () => (await nodesOf(soloGrpc))[0]?.availability === 4, { timeout: 10_000 });
    const { error } = await soloGrpc.stream(chat, say("solo"));
    expect([error?.code, error?.details]).toEqual([status.UNAVAILABLE, expect.stringContaining("ollama serve")]);
    const patient = soloGrpc.stream(chat, say("solo"), { metadata: { "drover-max-wait-ms": "20000" } });
    const again = await startSimOllama(["--listen", `127.0.0.1:${port}`, "--models", "solo", "--answer-tokens", "5"]);
    ends.push(() => again.close());
    expect((await patient).error).toBeUndefined();
  });
});

describe("a router with two nodes", () => {
  let ollama: SimOllamaProcess;
  let agents: [DroverProcess, DroverProcess];

  beforeAll(async () => {
    const quick = ["--speed", "200", "--load-seconds", "0.1", "--answer-tokens", "10"];
    ollama = await startSimOllama(["--models", MODEL, ...quick]);
    agents = [
      await startDrover("agent", ["--ollama", ollama.url, "--name", "a"]),
      await startDrover("agent", ["--ollama", ollama.url, "--name", "b"]),
    ];
  });
  afterAll(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await ollama.close();
  });

  async function startRouter(...flags: string[]): Promise<GrpcJsCaller> {
    const router = await start("router", "--nodes", agents.map((agent) => agent.address).join(","), ...flags);
    const grpc = caller(router.address);
    await untilAttached(grpc, 2);
    return grpc;
  }

  it("shows that two share a name, refuses the name, and serves the id", async () => {
    const one = await start("agent", "--ollama", ollama.url, "--name", "twin");
    const two = await start("agent", "--ollama", ollama.url, "--name", "twin");
    const router = await start("router", "--nodes", `${one.address},${two.address}`);
    const grpc = caller(router.address);
    const nodes = await untilAttached(grpc, 2);
    expect(nodes.map((node) => [node.identity?.name, node.isNameShared])).toEqual([
      ["twin", true],
      ["twin", true],
    ]);
    const refused = await grpc.stream(chat, say(), { metadata: { "drover-node": "twin" } });
    expect([refused.error?.code, refused.error?.details]).toEqual([
      status.FAILED_PRECONDITION,
      expect.stringContaining("use an id"),
    ]);
    const id = nodes[1]?.identity?.id ?? "";
    expect((await grpc.stream(chat, say(), { metadata: { "drover-node": id } })).error).toBeUndefined();
    const drained = await grpc.unary(drainNode, { node: "twin" }).catch((error: ServiceError) => error);
    expect(drained).toMatchObject({ code: status.FAILED_PRECONDITION });
  });

  it.each(["weighted", "least-connections", "round-robin"])("shares calls between idle nodes by %s", async (policy) => {
    const grpc = await startRouter("--policy", policy);
    const served = new Map<string, number>();
    // A node that has the model in memory is preferred to one that has not: let both load it.
    for (const node of ["a", "b"]) await grpc.stream(chat, say(), { metadata: { "drover-node": node } });
    for (let round = 0; round < 6; round++) {
      const { trailers } = await grpc.stream(chat, say());
      const node = String(trailers.get("drover-node")[0]);
      served.set(node, (served.get(node) ?? 0) + 1);
    }
    expect(served.get("a")).toBeGreaterThan(0);
    expect(served.get("b")).toBeGreaterThan(0);
  });

  it("sends nothing to a drained node until it resumes", async () => {
    const grpc = await startRouter();
    const { node } = await grpc.unary(drainNode, { node: "a", reason: "new fan" });
    expect([node?.availability, node?.detail]).toEqual([5, "draining: new fan"]);
    for (let round = 0; round < 4; round++) {
      const { trailers } = await grpc.stream(chat, say());
      expect(trailers.get("drover-node")).toEqual(["b"]);
    }
    const resumed = await grpc.unary(resumeNode, { node: "a" });
    expect(resumed.node?.availability).toBe(1);
  });

  it("answers from the other node when one is killed before its first token", async () => {
    const slow = await startSimOllama(["--models", MODEL, "--load-seconds", "30"]);
    ends.push(() => slow.close());
    const doomed = await start("agent", "--ollama", slow.url, "--name", "doomed");
    const fine = await start("agent", "--ollama", ollama.url, "--name", "fine");
    const router = await start("router", "--nodes", `${doomed.address},${fine.address}`);
    const grpc = caller(router.address);
    await untilAttached(grpc, 2);
    await grpc.unary(drainNode, { node: "fine" });
    const call = grpc.stream(chat, say());
    await vi.waitUntil(async () => (await nodesOf(grpc)).some((node) => node.ownAttempts === 1));
    await grpc.unary(resumeNode, { node: "fine" });
    await doomed.stop("SIGKILL");
    const { error, messages, trailers } = await call;
    expect(error).toBeUndefined();
    expect(textOf(messages).length).toBeGreaterThan(0);
    expect([trailers.get("drover-node"), trailers.get("drover-attempts")]).toEqual([["fine"], ["2"]]);
  });

  it("sends calls elsewhere while a node hangs, and to it again when it goes on", async () => {
    const frozen = await start("agent", "--ollama", ollama.url, "--name", "frozen");
    const router = await start("router", "--nodes", frozen.address, "--max-wait", "100ms");
    const grpc = caller(router.address);
    await untilAttached(grpc, 1);
    frozen.kill("SIGSTOP");
    await vi.waitUntil(async () => (await nodesOf(grpc))[0]?.availability === 3, { timeout: 5_000 });
    const { error } = await grpc.stream(chat, say());
    expect([error?.code, error?.details]).toEqual([
      status.UNAVAILABLE,
      expect.stringContaining("frozen: its agent has been silent for 3 s"),
    ]);
    frozen.kill("SIGCONT");
    await untilAttached(grpc, 1);
    const patient = { metadata: { "drover-max-wait-ms": "20000" } };
    expect((await grpc.stream(chat, say(), patient)).error).toBeUndefined();
  });

  it("tells a call that waits for a node so after 2 s, unless it wants no progress", async () => {
    const grpc = await startRouter();
    for (const node of ["a", "b"]) await grpc.unary(drainNode, { node });
    const wait = (headers: Record<string, string>) =>
      grpc.stream(chat, say(), { metadata: { "drover-max-wait-ms": "2500", ...headers } });
    const [told, untold] = await Promise.all([wait({}), wait({ "drover-progress": "off" })]);
    for (const node of ["a", "b"]) await grpc.unary(resumeNode, { node });
    expect(told.messages.map(({ event }) => event.value)).toMatchObject([
      { kind: { case: "queued", value: { position: 0 } } },
    ]);
    expect(untold.messages).toEqual([]);
    expect([told.error?.code, untold.error?.code]).toEqual([status.UNAVAILABLE, status.UNAVAILABLE]);
  });

  it("tells calls that wait when it stops, and lets those that run finish", async () => {
    const slow = await startSimOllama(["--models", MODEL, "--speed", "20", "--answer-tokens", "30"]);
    ends.push(() => slow.close());
    const solo = await start("agent", "--ollama", slow.url, "--name", "solo");
    const router = await start("router", "--nodes", solo.address);
    const grpc = caller(router.address);
    await untilAttached(grpc, 1);
    const running = grpc.stream(chat, say());
    await vi.waitUntil(async () => (await nodesOf(grpc))[0]?.ownAttempts === 1);
    await grpc.unary(drainNode, { node: "solo" });
    const waiting = grpc.stream(chat, say());
    // Calls on one connection keep their order, so once this one is answered the other waits.
    await nodesOf(grpc);
    const stopped = router.stop();
    const { error } = await waiting;
    expect([error?.code, error?.details]).toEqual([status.UNAVAILABLE, expect.stringContaining("This router stops")]);
    const { error: failure, messages } = await running;
    expect([failure, messages.at(-1)?.event.case]).toEqual([undefined, "done"]);
    expect(await stopped).toBe(0);
  });

  it("sends a prompt that is too long for one node to the node with the larger context", async () => {
    const nodes = await Promise.all(
      [256, 8_192].map(async (context) => {
        const sim = await startSimOllama(["--models", MODEL, "--context", String(context), "--answer-tokens", "3"]);
        ends.push(() => sim.close());
        return start("agent", "--ollama", sim.url, "--name", `context-${context}`);
      }),
    );
    const router = await start("router", "--nodes", nodes.map(({ address }) => address).join());
    const grpc = caller(router.address);
    await untilAttached(grpc, 2);
    // Which context a node gives is known once its model is loaded.
    for (const node of ["context-256", "context-8192"])
      expect((await grpc.stream(chat, say(), { metadata: { "drover-node": node } })).error).toBeUndefined();
    await vi.waitUntil(async () =>
      (await nodesOf(grpc)).every(({ load }) => (load?.runners[0]?.contextLength ?? 0) > 0),
    );
    const tooLong = { ...say(MODEL, "word ".repeat(1_000)), truncate: false };
    const attempts: unknown[] = [];
    for (let round = 0; round < 4; round++) {
      const { error, trailers } = await grpc.stream(chat, tooLong);
      expect([error, trailers.get("drover-node")]).toEqual([undefined, ["context-8192"]]);
      attempts.push(...trailers.get("drover-attempts"));
    }
    expect(attempts).toContain("2");
    nodes[1]?.kill("SIGKILL");
    await vi.waitUntil(async () => (await nodesOf(grpc)).some(({ availability }) => availability !== 1));
    const { error } = await grpc.stream(chat, tooLong);
    expect([error?.code, error?.details]).toEqual([
      status.INVALID_ARGUMENT,
      expect.stringContaining("The context there is 256 tokens"),
    ]);
  });

  it("finds a node again that was restarted, by the same id", async () => {
    const folder = mkdtempSync(join(tmpdir(), "drover-agent-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const first = await start("agent", "--ollama", ollama.url, "--name", "phoenix", "--state-dir", folder);
    const router = await start("router", "--nodes", first.address);
    const grpc = caller(router.address);
    const [before] = await untilAttached(grpc, 1);
    await first.stop("SIGKILL");
    await vi.waitUntil(async () => (await nodesOf(grpc))[0]?.availability === 3);
    const call = grpc.stream(chat, say());
    await start("agent", "--ollama", ollama.url, "--name", "phoenix", "--state-dir", folder, "--listen", first.address);
    expect((await call).error).toBeUndefined();
    const [after] = await nodesOf(grpc);
    expect(after?.identity?.id).toBe(before?.identity?.id);
    expect(after?.identity?.incarnation).not.toBe(before?.identity?.incarnation);
  });

  it("does not mistake a stream that breaks after its first token for an answer", async () => {
    const slow = await startSimOllama(["--models", MODEL, "--speed", "20", "--answer-tokens", "200"]);
    ends.push(() => slow.close());
    const doomed = await start("agent", "--ollama", slow.url, "--name", "doomed");
    const router = await start("router", "--nodes", doomed.address);
    const grpc = caller(router.address);
    await untilAttached(grpc, 1);
    const call = grpc.stream(chat, say());
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await doomed.stop("SIGKILL");
    const { error, messages } = await call;
    expect(messages.length).toBeGreaterThan(0);
    expect(messages.at(-1)?.event.case).toBe("chunk");
    expect([error?.code, error?.details]).toEqual([status.UNAVAILABLE, expect.stringContaining("broke off after")]);
  });

  it("needs the admin token for changes where one is set, and shows it to the agents", async () => {
    const folder = mkdtempSync(join(tmpdir(), "drover-token-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "token");
    writeFileSync(file, "a-very-long-secret-token-1234567890\n", { mode: 0o600 });
    const withToken = await start("agent", "--ollama", ollama.url, "--name", "a", "--admin-token-file", file);
    const router = await start("router", "--nodes", withToken.address, "--admin-token-file", file);
    const without = await start("router", "--nodes", withToken.address);
    const grpc = caller(router.address);
    await untilAttached(grpc, 1);
    await untilAttached(caller(without.address), 1);
    const refused = await grpc.unary(drainNode, { node: "a" }).catch((error: ServiceError) => error);
    expect(refused).toMatchObject({ code: status.PERMISSION_DENIED });
    const metadata = { authorization: "Bearer a-very-long-secret-token-1234567890" };
    expect((await grpc.unary(drainNode, { node: "a" }, { metadata })).node?.availability).toBe(5);
    const forwarded = await caller(without.address)
      .unary(resumeNode, { node: "a" })
      .catch((error: ServiceError) => error);
    expect(forwarded).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining("--admin-token-file"),
    });
    expect(router.log()).not.toContain("a-very-long-secret");
  });
});

describe("a router without nodes", () => {
  it("says at once that none are configured", async () => {
    const router = await start("router");
    const startMs = performance.now();
    const { error } = await caller(router.address).stream(chat, say());
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect([error?.code, error?.details]).toEqual([status.NOT_FOUND, expect.stringContaining("--nodes")]);
    expect((await fetch(`http://${router.opsAddress}/readyz`)).status).toBe(200);
  });

  it("is not held up by a program at a node's address that is no agent", async () => {
    const mute = createServer((socket) => socket.on("error", () => undefined));
    ends.push(() => mute.close());
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as { port: number };
    const ops = await start("router");
    const router = await start("router", "--nodes", `127.0.0.1:${port},${ops.opsAddress}`);
    const grpc = caller(router.address);
    const { error } = await grpc.stream(chat, say());
    // Whether the call's patience or the nodes' ends first is a matter of milliseconds.
    expect([error?.code, error?.details]).toEqual([
      status.UNAVAILABLE,
      expect.stringMatching(/None of the 2 nodes answers|nodes have not told their models yet/),
    ]);
    await vi.waitUntil(
      // A router's port for operators answers gRPC health, and nothing of an agent.
      async () => (await nodesOf(grpc)).every((node) => /no Drover agent answers|that is no agent/.test(node.detail)),
      { timeout: 3_000 },
    );
  });

  it("waits 5 s for a node that never answers, and no longer", async () => {
    const router = await start("router", "--nodes", "127.0.0.1:1");
    const grpc = caller(router.address);
    const startMs = performance.now();
    const { error } = await grpc.stream(chat, say());
    const tookMs = performance.now() - startMs;
    expect([tookMs > 3_500, tookMs < 6_500]).toEqual([true, true]);
    expect([error?.code, error?.details]).toEqual([
      status.UNAVAILABLE,
      // The router's own five seconds for a node that is starting may end a moment later than the call's.
      expect.stringMatching(/is drover-agent running there\?|nodes have not told their models yet/),
    ]);
    const again = performance.now();
    const impatient = { metadata: { "drover-max-wait-ms": "0" } };
    expect((await grpc.stream(chat, say(), impatient)).error?.code).toBe(status.UNAVAILABLE);
    expect(performance.now() - again).toBeLessThan(500);
    expect((await nodesOf(grpc))[0]).toMatchObject({ availability: 3, endpoint: "127.0.0.1:1" });
    expect((await grpc.unary(listModels, {})).models).toEqual([]);
  });
});

describe("the program", () => {
  it("exits 2 with one sentence for an address that others reach, unless that is allowed", async () => {
    const { code, stderr } = await runDrover("router", ["--listen", "0.0.0.0:0", "--ops-listen", "127.0.0.1:0"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^drover-router: --listen 0\.0\.0\.0:0 .*--insecure.*\n$/);
    const allowed = await start("router", "--listen", "0.0.0.0:0", "--insecure");
    expect(allowed.address).toMatch(/^0\.0\.0\.0:\d+$/);
  });

  it("exits 2 with one sentence for a taken port", async () => {
    const taken = createServer();
    ends.push(() => taken.close());
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    for (const flag of ["--listen", "--ops-listen"]) {
      const folder = mkdtempSync(join(tmpdir(), "drover-router-"));
      ends.push(() => rmSync(folder, { recursive: true }));
      const free = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", folder];
      const { code, stderr } = await runDrover("router", [...free, flag, `127.0.0.1:${port}`]);
      expect([code, stderr]).toEqual([
        2,
        `drover-router: ${flag} 127.0.0.1:${port}: the port is taken by another program; choose another or stop that one.\n`,
      ]);
    }
  });

  it("exits 2 with one line for each wrong flag", async () => {
    const wrong = ["--policy", "best", "--max-wait", "soon", "--nodse", "a"];
    const { code, stderr } = await runDrover("router", wrong, { DROVER_LOG_LEVEL: "loud" });
    expect(code).toBe(2);
    const lines = stderr.trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/^drover-router: /);
    expect(stderr).toContain("did you mean --nodes?");
    expect(stderr).toContain("DROVER_LOG_LEVEL");
  });

  it("exits 2 when another router has its state directory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "drover-router-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    await start("router", "--state-dir", folder);
    const free = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    const { code, stderr } = await runDrover("router", [...free, "--state-dir", folder]);
    expect(code).toBe(2);
    expect(stderr).toContain("--state-dir");
  });

  it("prints its flags with --help and exits 0", async () => {
    const { code, stdout, stderr } = await runDrover("router", ["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("--max-wait");
    expect(stdout).toContain("DROVER_NODES");
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends on %s with 0 while callers are connected", async (signal) => {
    const router = await startDrover("router");
    const grpc = caller(router.address);
    await nodesOf(grpc);
    const startMs = performance.now();
    expect(await router.stop(signal)).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });
});
