import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import {
  DroverError,
  decodeGrpcMessage,
  droverErrorFromConnect,
  droverErrorFromGrpc,
  Lifecycle,
  loadConfig,
  noTelemetry,
  SimClock,
  silentLogger,
  systemClock,
  systemRng,
  type Telemetry,
} from "@drover/platform";
import { ChatRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "@drover/proto/grpc/health/v1/health_pb";
import { ServerReflection } from "@drover/proto/grpc/reflection/v1/reflection_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  endless,
  type FakeAgent,
  type FakeAgentOptions,
  failsWith,
  startFakeAgent,
} from "../../routing/src/testing/fake-agent.ts";
import { framed, rawCall } from "../test/raw-call.ts";
import { buildRouter, type Router } from "./build-router.ts";
import { routerConfig } from "./config.ts";

const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Running extends Router {
  readonly lifecycle: Lifecycle;
  readonly inference: Client<typeof InferenceService>;
  readonly fleet: Client<typeof RouterService>;
  /** Calls that wait for a node, as metrics show them. */
  waitingCalls(): number;
}

function startRouter(...flags: string[]): Promise<Running> {
  return startRouterWith(new Lifecycle(systemClock, silentLogger), ...flags);
}

async function startRouterWith(lifecycle: Lifecycle, ...flags: string[]): Promise<Running> {
  const dir = mkdtempSync(join(tmpdir(), "drover-router-"));
  const argv = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", dir, ...flags];
  const loaded = loadConfig(routerConfig, { argv, env: {} });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  ends.push(async () => {
    await lifecycle.stop();
    rmSync(dir, { recursive: true });
  });
  let readCalls: Parameters<Telemetry["observe"]>[1] = () => undefined;
  const telemetry: Telemetry = {
    ...noTelemetry,
    observe: (name, read) => {
      if (name === "calls") readCalls = read;
    },
  };
  const surroundings = { telemetry, clock: systemClock, rng: systemRng, log: silentLogger, env: {}, lifecycle };
  const router = await buildRouter(loaded.config, surroundings);
  return {
    ...router,
    lifecycle,
    waitingCalls: () => {
      let waiting = 0;
      readCalls((count, { state }) => {
        if (state === "waiting") waiting = count;
      });
      return waiting;
    },
    inference: clientOf(InferenceService, router),
    fleet: clientOf(RouterService, router),
  };
}

function clientOf<S extends typeof InferenceService | typeof RouterService | typeof Health | typeof ServerReflection>(
  service: S,
  { address }: { readonly address: string },
): Client<S> {
  const baseUrl = `http://${address}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  ends.push(() => sessionManager.abort());
  return createClient(service, createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] }));
}

async function agent(options: FakeAgentOptions): Promise<FakeAgent> {
  const started = await startFakeAgent(options);
  ends.push(() => started.kill());
  return started;
}

const say = (model: string) => ({ model, messages: [{ role: "user", content: "hi" }] });

async function textOf(running: Running, model: string, headers: Record<string, string> = {}): Promise<string> {
  let text = "";
  for await (const { event } of running.inference.chat(say(model), { headers })) {
    if (event.case === "chunk") text += event.value.message?.content ?? "";
  }
  return text;
}

async function failureOf(promise: Promise<unknown>): Promise<ConnectError> {
  return promise.then(
    () => expect.unreachable("the call succeeded"),
    (error: unknown) => ConnectError.from(error),
  );
}

async function nodesOf(running: Running) {
  return (await running.fleet.listNodes({})).nodes;
}

async function* askAndHold(signal: AbortSignal) {
  yield { messageRequest: { case: "listServices" as const, value: "" } };
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

function chatBytes(model: string): Uint8Array {
  return toBinary(ChatRequestSchema, create(ChatRequestSchema, say(model)));
}

describe("a call through the router", () => {
  it("streams the tokens of the node that has the model", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    expect(await textOf(router, "llama3.2:1b")).toBe("Hello world");
  });

  it("carries all three methods", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    const events: string[] = [];
    for await (const { event } of router.inference.generate({ model: "llama3.2:1b", prompt: "hi" }))
      events.push(event.case ?? "");
    expect(events).toEqual(["chunk", "done"]);
    const embedded = await router.inference.embed({ model: "llama3.2:1b", input: ["a", "b"] });
    expect(embedded.embeddings.map((each) => each.values)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(await textOf(router, "llama3.2:1b")).toBe("Hello world");
  });

  it("tells the agent which call and attempt it is, and nothing that the caller made up about that", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    const forged = {
      "drover-router": "forged",
      "drover-ticket": "forged",
      authorization: "Bearer x",
      "x-mine": "kept",
    };
    await textOf(router, "llama3.2:1b", forged);
    const got = one.lastHeaders;
    expect(got?.get("drover-router")).toBe("secret-of-one");
    expect(got?.get("drover-attempt")).toBe("1");
    expect(got?.get("drover-call")).toMatch(/^[0-9a-f-]{36}$/);
    expect([got?.get("drover-ticket"), got?.get("authorization"), got?.get("x-mine")]).toEqual([null, null, "kept"]);
  });

  it("is answered by the other node when the first one refuses before a token", async () => {
    const busy = await agent({ id: "busy", chat: () => failsWith(new DroverError("node_draining", "It drains.")) });
    const fine = await agent({ id: "fine" });
    const router = await startRouter("--nodes", `${busy.address},${fine.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.identity !== undefined));
    for (let round = 0; round < 4; round++) expect(await textOf(router, "llama3.2:1b")).toBe("Hello world");
    expect(busy.calls).toBeGreaterThan(0);
    expect(fine.calls).toBe(4);
  });

  it("is answered by the other node when the first one dies before a token", async () => {
    let doomed: FakeAgent | undefined;
    doomed = await agent({
      id: "doomed",
      async *chat() {
        doomed?.kill();
        yield* [];
      },
    });
    const fine = await agent({ id: "fine" });
    const router = await startRouter("--nodes", `${doomed.address},${fine.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.identity !== undefined));
    const answers = await Promise.all([1, 2, 3].map(() => textOf(router, "llama3.2:1b")));
    expect(answers).toEqual(["Hello world", "Hello world", "Hello world"]);
    expect(doomed.calls).toBe(1);
  });

  it("says NOT_FOUND with the nearest names for a model that nobody has", async () => {
    const one = await agent({ id: "one", models: ["llama3.2:1b", "qwen3:8b"] });
    const router = await startRouter("--nodes", one.address);
    await textOf(router, "qwen3:8b");
    const failure = await failureOf(textOf(router, "llama3.2"));
    expect(failure.code).toBe(Code.NotFound);
    expect(failure.rawMessage).toContain('No node has model "llama3.2". Nearest: llama3.2:1b.');
    expect(droverErrorFromConnect(failure)?.kind).toBe("model_not_found");
  });

  it("says at once that no nodes are configured when none are", async () => {
    const router = await startRouter();
    const failure = await failureOf(textOf(router, "llama3.2:1b"));
    expect(failure.code).toBe(Code.NotFound);
    expect(failure.rawMessage).toContain("start the router with --nodes");
  });

  it("reaches the node that drover-node names, by id or name, and no other", async () => {
    const one = await agent({ id: "one", name: "first" });
    const two = await agent({ id: "two", name: "second" });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await textOf(router, "llama3.2:1b", { "drover-node": "second" });
    await textOf(router, "llama3.2:1b", { "drover-node": "two" });
    expect([one.calls, two.calls]).toEqual([0, 2]);
    const failure = await failureOf(textOf(router, "llama3.2:1b", { "drover-node": "third" }));
    expect(failure.rawMessage).toBe('No node has the id or name "third". Known nodes: first, second.');
    expect(failure.code).toBe(Code.NotFound);
  });

  it("is refused under a name that two nodes share, and served under an id", async () => {
    const one = await agent({ id: "id-one", name: "twin" });
    const two = await agent({ id: "id-two", name: "twin" });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.isNameShared));
    const failure = await failureOf(textOf(router, "llama3.2:1b", { "drover-node": "twin" }));
    expect(failure.code).toBe(Code.FailedPrecondition);
    expect(failure.rawMessage).toBe('2 nodes are named "twin": use an id (id-one, id-two).');
    expect((await failureOf(router.fleet.drainNode({ node: "twin" }))).rawMessage).toBe(failure.rawMessage);
    expect(await textOf(router, "llama3.2:1b", { "drover-node": "id-two" })).toBe("Hello world");
    expect(two.calls).toBe(1);
  });
});

describe("errors before the first message, on the wire", () => {
  const bad: [string, { body: Uint8Array; headers?: Record<string, string>; status: Code; says: string }][] = [
    ["an unknown model", { body: framed(chatBytes("nope")), status: Code.NotFound, says: "No node has model" }],
    ["an empty model", { body: framed(chatBytes("")), status: Code.InvalidArgument, says: "names no model" }],
    ["no message at all", { body: Buffer.alloc(0), status: Code.InvalidArgument, says: "no request message" }],
    [
      "bytes that are not protobuf",
      { body: framed(Buffer.from([0x0a, 0xff])), status: Code.InvalidArgument, says: "does not decode" },
    ],
    [
      "an encoding that nobody knows",
      {
        body: framed(chatBytes("llama3.2:1b"), 1),
        headers: { "grpc-encoding": "zstd" },
        status: Code.Unimplemented,
        says: "gzip",
      },
    ],
    [
      "a wrong timeout",
      {
        body: framed(chatBytes("llama3.2:1b")),
        headers: { "grpc-timeout": "soon" },
        status: Code.InvalidArgument,
        says: "grpc-timeout",
      },
    ],
    [
      "broken gzip",
      {
        body: framed(Buffer.from("not gzip"), 1),
        headers: { "grpc-encoding": "gzip" },
        status: Code.InvalidArgument,
        says: "not valid gzip",
      },
    ],
  ];
  it.each(bad)("%s is one HEADERS frame with ErrorInfo", async (_, { body, headers = {}, status, says }) => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    const answer = await rawCall(router.address, "Chat", body, headers);
    expect(answer.isTrailersOnly).toBe(true);
    expect(Number(answer.headers["grpc-status"])).toBe(status);
    const message = decodeGrpcMessage(String(answer.headers["grpc-message"]));
    expect(message).toContain(says);
    expect(droverErrorFromGrpc(status, message, answer.headers)).toBeDefined();
    expect(answer.headers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
    if (headers["grpc-encoding"] === "zstd") expect(answer.headers["grpc-accept-encoding"]).toBe("identity,gzip");
  });

  it("gzip requests are taken, and answers are never compressed", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    const body = framed(gzipSync(chatBytes("llama3.2:1b")), 1);
    const answer = await rawCall(router.address, "Chat", body, {
      "grpc-encoding": "gzip",
      "grpc-accept-encoding": "gzip",
    });
    expect(answer.trailers?.["grpc-status"]).toBe("0");
    expect(answer.headers["grpc-encoding"]).toBeUndefined();
    expect(answer.data[0]).toBe(0);
    expect(one.lastHeaders?.get("grpc-encoding")).toBeNull();
  });

  it("success has headers with the call's id first and its account in the trailers", async () => {
    const one = await agent({ id: "one", name: "first" });
    const router = await startRouter("--nodes", one.address);
    const answer = await rawCall(router.address, "Chat", framed(chatBytes("llama3.2:1b")));
    expect(answer.isTrailersOnly).toBe(false);
    expect(answer.headers["drover-call"]).toBe(answer.trailers?.["drover-call"]);
    expect(answer.trailers).toMatchObject({ "grpc-status": "0", "drover-node": "first", "drover-attempts": "1" });
  });

  it("says in a trailer why a call went where it went, to callers who ask", async () => {
    const one = await agent({ id: "one", name: "first", models: ["llama3.2:1b"] });
    const two = await agent({ id: "two", name: "second", models: ["qwen3:8b"] });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.load !== undefined));
    const ask = (model: string, why: string) =>
      rawCall(router.address, "Chat", framed(chatBytes(model)), { "drover-why": why });
    const answered = await ask("llama3.2:1b", "1");
    expect(answered.trailers?.["drover-why"]).toMatch(
      /^weighted took first \(cost 0.08: .*cold 8.*\); not second: does not have the model$/,
    );
    const refused = await ask("nope", "1");
    expect(refused.isTrailersOnly).toBe(true);
    expect(refused.headers["drover-why"]).toBe("weighted took no node; not first, second: does not have the model");
    expect((await ask("llama3.2:1b", "0")).trailers?.["drover-why"]).toBeUndefined();
    expect((await ask("llama3.2:1b", "yes")).headers["grpc-status"]).toBe("3");
  });

  it("a method that does not exist is UNIMPLEMENTED", async () => {
    const router = await startRouter();
    const answer = await rawCall(router.address, "Sing", framed(chatBytes("x")));
    expect([answer.isTrailersOnly, answer.headers["grpc-status"]]).toEqual([true, "12"]);
  });
});

describe("RouterService", () => {
  it("lists nodes by name with what they told and how old it is, and endpoints that never answered last", async () => {
    const one = await agent({ id: "a", name: "zeta", labels: { gpu: "a100" } });
    const two = await agent({ id: "b", name: "alpha" });
    const router = await startRouter("--nodes", `127.0.0.1:1,${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).filter((node) => node.load !== undefined).length === 2);
    await vi.waitUntil(async () => (await nodesOf(router)).at(-1)?.detail.includes("drover-agent"));
    const nodes = await nodesOf(router);
    expect(nodes.map((node) => node.identity?.name)).toEqual(["alpha", "zeta", undefined]);
    expect(nodes[1]).toMatchObject({
      endpoint: one.address,
      availability: NodeAvailability.AVAILABLE,
      detail: "",
      sources: ["static"],
      isNameShared: false,
      ownAttempts: 0,
      identity: { id: "a", labels: { gpu: "a100" } },
    });
    expect(nodes[1]?.inventory?.models.map((model) => model.name)).toEqual(["llama3.2:1b"]);
    expect(nodes[2]).toMatchObject({ endpoint: "127.0.0.1:1", availability: NodeAvailability.UNREACHABLE });
  });

  it("shows two live agents with one id as two conflicting nodes", async () => {
    const one = await agent({ id: "same", name: "one", incarnation: "1" });
    const two = await agent({ id: "same", name: "two", incarnation: "2" });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.availability === 7));
    const nodes = await nodesOf(router);
    expect(nodes.map((node) => [node.identity?.name, node.endpoint])).toEqual([
      ["one", one.address],
      ["two", two.address],
    ]);
    const failure = await failureOf(router.fleet.drainNode({ node: "same" }));
    expect(failure.code).toBe(Code.FailedPrecondition);
    expect(failure.rawMessage).toContain("--state-dir");
  });

  it("lists models merged by Ollama's rules for names", async () => {
    const one = await agent({ id: "one", models: ["llama3.2:latest", "qwen3:8b"] });
    const two = await agent({ id: "two", models: ["LLAMA3.2"], capabilities: ["completion", "tools"] });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.inventory !== undefined));
    const { models } = await router.fleet.listModels({});
    expect(models.map((model) => model.name)).toEqual(["llama3.2:latest", "qwen3:8b"]);
    expect(models[0]).toMatchObject({ capabilities: ["completion", "embedding", "tools"], contextLength: 4096 });
    expect(models[0]?.copies.map((copy) => copy.nodeName)).toEqual(["one", "two"]);
  });

  it("drains a node through its agent, sends calls elsewhere, and resumes it", async () => {
    const one = await agent({ id: "one" });
    const two = await agent({ id: "two" });
    const router = await startRouter("--nodes", `${one.address},${two.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.load !== undefined));
    const { node } = await router.fleet.drainNode({ node: "one", reason: "new fan" });
    expect(node).toMatchObject({ availability: NodeAvailability.DRAINING, detail: "draining: new fan" });
    for (let round = 0; round < 3; round++) await textOf(router, "llama3.2:1b");
    expect([one.calls, two.calls]).toEqual([0, 3]);
    const resumed = await router.fleet.resumeNode({ node: "one" });
    expect(resumed.node?.availability).toBe(NodeAvailability.AVAILABLE);
    await Promise.all([textOf(router, "llama3.2:1b"), textOf(router, "llama3.2:1b")]);
    expect(one.calls).toBe(1);
  });

  it("names the flag when the agent does not take changes from this router", async () => {
    const one = await agent({ id: "one", name: "first", token: "secret" });
    const router = await startRouter("--nodes", one.address);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.load !== undefined));
    const failure = await failureOf(router.fleet.drainNode({ node: "one" }));
    expect(failure.code).toBe(Code.PermissionDenied);
    expect(failure.rawMessage).toContain('The agent of node "first" refused');
    expect(failure.rawMessage).toContain("--admin-token-file");
  });

  it("believes nobody behind a proxy to be on this machine", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    const headers = { "x-forwarded-for": "10.0.0.1" };
    const failure = await failureOf(router.fleet.drainNode({ node: "one" }, { headers }));
    expect(failure.code).toBe(Code.PermissionDenied);
    expect(failure.rawMessage).toContain("--admin-token-file");
  });

  it("answers NOT_FOUND for a node that nobody knows and INVALID_ARGUMENT for none", async () => {
    const one = await agent({ id: "one", name: "first" });
    const router = await startRouter("--nodes", one.address);
    await textOf(router, "llama3.2:1b");
    const unknown = await failureOf(router.fleet.resumeNode({ node: "x" }));
    expect([unknown.code, unknown.rawMessage]).toEqual([
      Code.NotFound,
      'No node has the id or name "x". Known nodes: first.',
    ]);
    expect((await failureOf(router.fleet.drainNode({}))).code).toBe(Code.InvalidArgument);
  });

  it("says in words what the methods to come are replaced by", async () => {
    const router = await startRouter();
    const shown = await failureOf(router.fleet.showModel({ model: "x" }));
    expect(shown.code).toBe(Code.Unimplemented);
    expect(shown.rawMessage).toContain("AgentService.ShowModel");
    const stream = router.fleet.pullModel({ model: "x", nodes: ["y"] })[Symbol.asyncIterator]();
    const pulled = await failureOf(stream.next());
    expect(pulled.code).toBe(Code.Unimplemented);
    expect(pulled.rawMessage).toContain("ollama pull");
  });
});

describe("beside gRPC", () => {
  it("serves RouterService as Connect JSON over HTTP/1.1", async () => {
    const one = await agent({ id: "one" });
    const router = await startRouter("--nodes", one.address);
    await textOf(router, "llama3.2:1b");
    const response = await fetch(`http://${router.address}/drover.router.v1.RouterService/ListNodes`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(200);
    const { nodes } = (await response.json()) as { nodes: { availability: string; identity: { id: string } }[] };
    expect(nodes.map((node) => [node.identity.id, node.availability])).toEqual([
      ["one", "NODE_AVAILABILITY_AVAILABLE"],
    ]);
  });

  const protocols = [
    ["Connect over HTTP/1.1", createConnectTransport, "1.1"],
    ["Connect over HTTP/2", createConnectTransport, "2"],
    ["gRPC-Web over HTTP/1.1", createGrpcWebTransport, "1.1"],
    ["gRPC-Web over HTTP/2", createGrpcWebTransport, "2"],
  ] as const;

  describe.each(protocols)("inference by %s", (_name, createTransport, httpVersion) => {
    const inferenceOf = (router: Running): Client<typeof InferenceService> =>
      createClient(InferenceService, createTransport({ baseUrl: `http://${router.address}`, httpVersion }));

    it("streams the tokens, and tells in trailers which node answered", async () => {
      const one = await agent({ id: "one" });
      const router = await startRouter("--nodes", one.address);
      const trailers = new Headers();
      let text = "";
      const answer = inferenceOf(router).chat(say("llama3.2:1b"), {
        onTrailer: (received) => {
          for (const [key, value] of received) trailers.set(key, value);
        },
      });
      for await (const { event } of answer) if (event.case === "chunk") text += event.value.message?.content ?? "";
      expect(text).toBe("Hello world");
      expect([trailers.get("drover-node"), trailers.get("drover-attempts")]).toEqual(["one", "1"]);
    });

    it("embeds, with the trailers of a call", async () => {
      const one = await agent({ id: "one" });
      const router = await startRouter("--nodes", one.address);
      const calls: (string | null)[] = [];
      const { embeddings } = await inferenceOf(router).embed(
        { model: "llama3.2:1b", input: ["a"] },
        {
          onHeader: (headers) => calls.push(headers.get("drover-call")),
          onTrailer: (trailers) => calls.push(trailers.get("drover-call"), trailers.get("drover-node")),
        },
      );
      expect(embeddings.map((each) => each.values)).toEqual([[1, 2, 3]]);
      expect(calls).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), calls[0], "one"]);
    });

    it("is answered by the other node when the first one refuses before a token", async () => {
      const busy = await agent({ id: "busy", chat: () => failsWith(new DroverError("node_draining", "It drains.")) });
      const fine = await agent({ id: "fine" });
      const router = await startRouter("--nodes", `${busy.address},${fine.address}`);
      await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.identity !== undefined));
      for (let round = 0; round < 2; round++) {
        const events: string[] = [];
        for await (const { event } of inferenceOf(router).chat(say("llama3.2:1b"))) events.push(event.case ?? "");
        expect(events.at(-1)).toBe("done");
      }
      expect(fine.calls).toBe(2);
    });

    it("ends with the same reason as gRPC", async () => {
      const one = await agent({ id: "one" });
      const router = await startRouter("--nodes", one.address);
      const stream = inferenceOf(router).chat(say("nobody-has-this"))[Symbol.asyncIterator]();
      const failure = await failureOf(stream.next());
      expect([failure.code, droverErrorFromConnect(failure)?.kind]).toEqual([Code.NotFound, "model_not_found"]);
    });

    it("stops at the node when its caller leaves", async () => {
      const one = await agent({ id: "one", chat: endless });
      const router = await startRouter("--nodes", one.address);
      const leave = new AbortController();
      const stream = inferenceOf(router).chat(say("llama3.2:1b"), { signal: leave.signal })[Symbol.asyncIterator]();
      await stream.next();
      expect((await nodesOf(router))[0]?.ownAttempts).toBe(1);
      leave.abort();
      await vi.waitUntil(async () => (await nodesOf(router))[0]?.ownAttempts === 0);
    });

    it("ends in time when its deadline passes", async () => {
      const one = await agent({ id: "one", chat: endless });
      const router = await startRouter("--nodes", one.address);
      const begin = performance.now();
      const failure = await failureOf(
        (async () => {
          for await (const _ of inferenceOf(router).chat(say("llama3.2:1b"), { timeoutMs: 400 }));
        })(),
      );
      expect(failure.code).toBe(Code.DeadlineExceeded);
      expect(performance.now() - begin).toBeLessThan(1_000);
      await vi.waitUntil(async () => (await nodesOf(router))[0]?.ownAttempts === 0);
    });
  });

  it("tells health for the program and for each service", async () => {
    const router = await startRouter();
    const health = clientOf(Health, router);
    for (const service of ["", InferenceService.typeName, RouterService.typeName, Health.typeName])
      expect((await health.check({ service })).status).toBe(Serving.SERVING);
  });

  it("describes its services by reflection", async () => {
    const router = await startRouter();
    async function* ask() {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
    }
    const names: string[] = [];
    for await (const { messageResponse } of clientOf(ServerReflection, router).serverReflectionInfo(ask())) {
      if (messageResponse.case === "listServicesResponse")
        names.push(...messageResponse.value.service.map((each) => each.name));
    }
    expect(names).toEqual(expect.arrayContaining([InferenceService.typeName, RouterService.typeName, Health.typeName]));
  });

  it("tells operators that it is ready without a node, and that none is there", async () => {
    const router = await startRouter();
    const alive = await fetch(`http://${router.opsAddress}/healthz`);
    const ready = await fetch(`http://${router.opsAddress}/readyz`);
    expect([alive.status, ready.status]).toEqual([200, 200]);
    expect(await ready.json()).toEqual({
      isReady: true,
      dependencies: [
        { name: "listener", isReady: true, detail: "takes calls" },
        { name: "discovery", isReady: true, detail: "no nodes are configured: see --nodes" },
        { name: "nodes", isReady: false, detail: "0 of 0 take work; the router is ready without any" },
      ],
    });
  });
});

describe("the end", () => {
  it("lets a running call finish, refuses new ones, and leaves nothing open", async () => {
    const { promise: mayEnd, resolve: letItEnd } = Promise.withResolvers<void>();
    const one = await agent({
      id: "one",
      async *chat() {
        yield { event: { case: "chunk", value: { message: { role: "assistant", content: "slow" } } } };
        await mayEnd;
        yield { event: { case: "done", value: {} } };
      },
    });
    const router = await startRouter("--nodes", one.address);
    const stream = router.inference.chat(say("llama3.2:1b"))[Symbol.asyncIterator]();
    expect((await stream.next()).value.event.case).toBe("chunk");
    const stopped = router.lifecycle.stop();
    await expect(fetch(`http://${router.address}/`)).rejects.toThrow();
    letItEnd();
    expect((await stream.next()).value.event.case).toBe("done");
    expect((await stream.next()).done).toBe(true);
    await stopped;
    await expect(fetch(`http://${router.opsAddress}/healthz`)).rejects.toThrow();
    // Resolves only when every connection of the router has ended.
    await one.drained();
  });

  it("tells calls that wait at once that it stops, in an answer that callers retry", async () => {
    const one = await agent({ id: "one" });
    one.setCondition({ isDraining: true });
    const router = await startRouter("--nodes", one.address);
    await vi.waitFor(async () => expect((await nodesOf(router))[0]?.availability).toBe(NodeAvailability.DRAINING));
    const waiting = rawCall(router.address, "Chat", framed(chatBytes("llama3.2:1b")));
    const overHttp1 = createClient(
      InferenceService,
      createConnectTransport({ baseUrl: `http://${router.address}`, httpVersion: "1.1" }),
    );
    const waitingToo = failureOf(overHttp1.embed({ model: "llama3.2:1b", input: ["a"] }));
    await vi.waitFor(() => expect(router.waitingCalls()).toBe(2));
    await router.lifecycle.stop();
    const answer = await waiting;
    expect(answer.isTrailersOnly).toBe(true);
    expect(answer.headers).toMatchObject({ "grpc-status": String(Code.Unavailable) });
    expect(droverErrorFromConnect(await waitingToo)).toMatchObject({ kind: "router_stopping" });
  });

  it("tells those who watch its health, and does not wait for them", async () => {
    const router = await startRouter();
    const watch = clientOf(Health, router).watch({ service: "" })[Symbol.asyncIterator]();
    expect((await watch.next()).value.status).toBe(Serving.SERVING);
    const stopped = router.lifecycle.stop();
    expect((await watch.next()).value.status).toBe(Serving.NOT_SERVING);
    await failureOf(watch.next());
    await stopped;
  });

  it("cuts calls off that have not ended within the drain limit", async () => {
    const one = await agent({ id: "one", chat: endless });
    const clock = new SimClock();
    const router = await startRouterWith(
      new Lifecycle(clock, silentLogger),
      "--nodes",
      one.address,
      "--drain-limit",
      "25s",
    );
    const stream = router.inference.chat(say("llama3.2:1b"))[Symbol.asyncIterator]();
    await stream.next();
    // A caller that never ends its side holds its stream until it is cut off.
    const held = new AbortController();
    ends.push(() => held.abort());
    const reflected = clientOf(ServerReflection, router).serverReflectionInfo(askAndHold(held.signal));
    const reflection = reflected[Symbol.asyncIterator]();
    await reflection.next();
    let isStopped = false;
    const stopped = router.lifecycle.stop().then(() => {
      isStopped = true;
    });
    await clock.advanceAsync(24_900);
    expect(isStopped).toBe(false);
    const broken = failureOf(stream.next());
    await clock.advanceAsync(100);
    await broken;
    await failureOf(reflection.next());
    await stopped;
  });

  it("gives its state directory back", async () => {
    const dir = mkdtempSync(join(tmpdir(), "drover-router-"));
    ends.push(() => rmSync(dir, { recursive: true }));
    const first = await startRouter("--state-dir", dir);
    await expect(startRouter("--state-dir", dir)).rejects.toThrow(`--state-dir ${dir}: in use`);
    await first.lifecycle.stop();
    await startRouter("--state-dir", dir);
  });
});

describe("the configuration", () => {
  it("reaches the parts: policy, patience, origins, name, bodies", async () => {
    const one = await agent({ id: "one" });
    one.setCondition({ isOllamaReachable: false });
    const flags = ["--max-wait", "0ms", "--cors-origin", "https://app.example", "--name", "gate"];
    const router = await startRouter("--nodes", one.address, ...flags);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.availability === 4));
    expect((await failureOf(textOf(router, "llama3.2:1b"))).code).toBe(Code.Unavailable);
    const preflight = await fetch(`http://${router.address}/drover.router.v1.RouterService/ListNodes`, {
      method: "OPTIONS",
      headers: { origin: "https://app.example", "access-control-request-method": "POST" },
    });
    expect(preflight.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(one.routers).toEqual(["gate"]);
  });

  it("ejects after as many failures, and tries a call as often, as the flags say", async () => {
    const chat = () => failsWith(new DroverError("node_protocol_error", "It failed."));
    const broken = await agent({ id: "broken", chat });
    const other = await agent({ id: "other", models: ["another"] });
    const flags = ["--eject-after", "2", "--eject-time", "1s", "--attempts-max", "1"];
    const router = await startRouter("--nodes", `${broken.address},${other.address}`, ...flags);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.availability === 1));
    for (let round = 0; round < 2; round++) await failureOf(textOf(router, "llama3.2:1b"));
    expect(broken.calls).toBe(2);
    expect((await nodesOf(router))[0]).toMatchObject({
      availability: NodeAvailability.EJECTED,
      detail: expect.stringContaining("ejected after 2 failures in a row, tried again in 1 s"),
    });
  });

  it.each([
    ["weighted", [0, 2]],
    ["round-robin", [1, 1]],
  ])("chooses the policy %s", async (policy, expected) => {
    // A cold node counts as eight calls more for `weighted`, and nothing for `round-robin`.
    const cold = await agent({ id: "cold" });
    const warm = await agent({ id: "warm", isLoaded: true });
    const router = await startRouter("--policy", policy, "--nodes", `${cold.address},${warm.address}`);
    await vi.waitUntil(async () => (await nodesOf(router)).every((node) => node.load !== undefined));
    for (let round = 0; round < 2; round++) await textOf(router, "llama3.2:1b");
    expect([cold.calls, warm.calls]).toEqual(expected);
  });
});
