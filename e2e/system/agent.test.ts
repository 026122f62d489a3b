/** An agent's process against a simulated Ollama: what callers get for each way in which Ollama can fail. */
import { connect } from "node:http2";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { droverErrorFromConnect } from "@drover/platform";
import { AgentService, type AttachRequestSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import {
  type ChatRequest,
  ChatRequestSchema,
  type ChatResponse,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { Health, HealthCheckResponse_ServingStatus } from "@drover/proto/grpc/health/v1/health_pb";
import { createSimOllama, type Fault, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";

type Client = ReturnType<typeof clientsOf>;

function clientsOf(address: string) {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  return {
    inference: createClient(InferenceService, transport),
    agent: createClient(AgentService, transport),
    health: createClient(Health, transport),
  };
}

interface Outcome {
  readonly text: string;
  readonly progress: readonly string[];
  readonly done: Extract<ChatResponse["event"], { case: "done" }>["value"] | undefined;
  readonly code: string;
  readonly reason: string | undefined;
  readonly message: string;
  readonly trailers: Headers;
}

type ChatInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

const chatOf = (content = "hello", model = "chat"): ChatInit => ({
  model,
  messages: [{ role: "user", content }],
});

/** Runs a chat to its end, whatever that is. */
async function chat(
  client: Client,
  request = chatOf(),
  options: { signal?: AbortSignal; timeoutMs?: number; headers?: HeadersInit } = {},
): Promise<Outcome> {
  let text = "";
  let done: Outcome["done"];
  let trailers = new Headers();
  const progress: string[] = [];
  try {
    const onTrailer = (trailer: Headers): void => {
      trailers = trailer;
    };
    for await (const { event } of client.inference.chat(request, { ...options, onTrailer })) {
      if (event.case === "progress") progress.push(event.value.kind.case ?? "");
      if (event.case === "chunk" || event.case === "done") text += event.value.message?.content ?? "";
      if (event.case === "done") done = event.value;
    }
    return { text, progress, done, code: "OK", reason: undefined, message: "", trailers };
  } catch (error) {
    const connectError = ConnectError.from(error);
    const reason = droverErrorFromConnect(connectError)?.kind;
    return {
      text,
      progress,
      done,
      code: Code[connectError.code],
      reason,
      message: connectError.rawMessage,
      trailers: connectError.metadata,
    };
  }
}

async function eventually(check: () => void | Promise<void>, limitMs = 5_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (true) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe("an agent beside a simulated Ollama", () => {
  let ollama: SimOllama;
  let agent: DroverProcess;
  let client: Client;

  beforeAll(async () => {
    ollama = await createSimOllama({
      models: ["chat", "embed", { name: "plain", capabilities: ["completion"] }, "other"],
      speed: 2_000,
      loadSeconds: 0.05,
      slots: 1,
      answerTokens: 20,
    });
    agent = await startDrover("agent", [
      "--ollama",
      ollama.url,
      "--name",
      "node-1",
      "--first-token-timeout",
      "1500ms",
      "--stall-timeout",
      "700ms",
    ]);
    client = clientsOf(agent.address);
    await chat(client);
  });
  afterEach(() => ollama.setFaults([]));
  afterAll(async () => {
    await agent?.stop();
    await ollama?.close();
  });

  const inferenceRequests = () =>
    ollama.requests().filter(({ path }) => path === "/api/chat" || path === "/api/generate" || path === "/api/embed");
  const lastChat = () => ollama.requests().findLast(({ path }) => path === "/api/chat");

  test("answers a chat with one done and the trailers of a call", async () => {
    const outcome = await chat(client, chatOf(), { headers: { "drover-node": "node-1" } });
    expect(outcome).toMatchObject({ code: "OK", progress: [] });
    expect(outcome.text.length).toBeGreaterThan(10);
    expect(outcome.done?.completion).toMatchObject({
      doneReason: "stop",
      node: "node-1",
      contextLength: 4096,
      evalCount: 21,
    });
    expect(outcome.trailers.get("drover-node")).toBe("node-1");
    for (const key of ["drover-queue-ms", "drover-load-ms", "drover-ttft-ms"])
      expect(outcome.trailers.get(key)).toMatch(/^\d+$/);
    expect(outcome.trailers.get("drover-call")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("tells a failed call's id once", async () => {
    const { code, trailers } = await chat(client, chatOf("x", "llama9"));
    expect([code, trailers.get("drover-call")]).toEqual(["NotFound", expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });

  test("says Host localhost to Ollama, and always asks for a stream", () => {
    expect(lastChat()?.headers.host).toBe("localhost");
    expect(lastChat()?.body).toMatchObject({ model: "chat", stream: true });
  });

  test("generates and embeds", async () => {
    let text = "";
    for await (const { event } of client.inference.generate({ model: "chat", prompt: "hi" })) {
      if (event.case === "chunk") text += event.value.response;
    }
    expect(text).not.toBe("");
    const embedded = await client.inference.embed({ model: "embed", input: ["a", "b"] });
    expect(embedded.embeddings).toHaveLength(2);
    expect(embedded.embeddings[0]?.values).toHaveLength(384);
    expect(embedded).toMatchObject({ node: "node-1", extraJson: "" });
  });

  test.each<[string, Fault, string, string]>([
    ["503", { kind: "status", status: 503 }, "ResourceExhausted", "ollama_busy"],
    ["404", { kind: "status", status: 404 }, "NotFound", "node_lacks_model"],
    ["500 of any kind", { kind: "status", status: 500, message: "strange" }, "Unknown", "ollama_failed"],
    [
      "500 of a wrong option",
      { kind: "status", status: 500, message: 'option "num_ctx" must be of type integer' },
      "InvalidArgument",
      "request_rejected",
    ],
    ["a dead runner", { kind: "status", status: 500 }, "Unavailable", "runner_crashed"],
    ["an error before the first chunk", { kind: "stream-error", afterChunks: 0 }, "Unavailable", "runner_crashed"],
    [
      "an error in the stream",
      { kind: "stream-error", afterChunks: 3, message: "strange" },
      "Unavailable",
      "stream_broken",
    ],
    ["an empty 200", { kind: "end-without-done", afterChunks: 0 }, "Unavailable", "no_output"],
    ["an end without done", { kind: "end-without-done", afterChunks: 3 }, "DataLoss", "output_incomplete"],
    ["a repeated token", { kind: "repeat" }, "DataLoss", "token_repeat"],
    ["a cut before the first chunk", { kind: "cut", afterChunks: 0 }, "Unavailable", "ollama_unreachable"],
    ["a cut in the stream", { kind: "cut", afterChunks: 3 }, "Unavailable", "stream_broken"],
    ["a crash of Ollama", { kind: "crash", afterChunks: 2 }, "Unavailable", "stream_broken"],
    ["a crash of the runner", { kind: "runner-crash", afterChunks: 2 }, "Unavailable", "runner_crashed"],
    [
      "silence before the first token",
      { kind: "slow-first-token", delayMs: 3_000 },
      "Unavailable",
      "first_token_timeout",
    ],
    ["silence in the stream", { kind: "hang", afterChunks: 3 }, "Unavailable", "stream_stalled"],
  ])("%s", async (_, fault, code, reason) => {
    // The repeat guard needs a longer answer than the others.
    ollama.setFaults([{ ...fault, endpoint: "chat", times: 1 }]);
    const outcome = await chat(client, { ...chatOf(), options: { numPredict: 60 } });
    expect([outcome.code, outcome.reason]).toEqual([code, reason]);
    expect(outcome.message).toContain('"chat"');
    expect(outcome.message).toContain('"node-1"');
    expect(outcome.message).not.toMatch(/127\.0\.0\.1|:\d{4,5}/);
    expect(outcome.trailers.get("drover-node")).toBe("node-1");
    expect(outcome.done).toBeUndefined();
    await eventually(async () => expect((await chat(client)).code).toBe("OK"));
  });

  test("an error before the first token is true Trailers-Only, with a pushback where waiting helps", async () => {
    ollama.setFaults([{ kind: "status", status: 503, endpoint: "chat", times: 1 }]);
    const { headers, isTrailersOnly } = await rawChat(agent.address);
    expect(isTrailersOnly).toBe(true);
    expect(headers).toMatchObject({
      ":status": 200,
      "grpc-status": "8",
      "grpc-retry-pushback-ms": "1000",
      "drover-node": "node-1",
    });
  });

  test("a crash while it embeds is not the caller's fault, though Ollama says 400", async () => {
    const message = 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF';
    ollama.setFaults([{ kind: "status", status: 400, message, endpoint: "embed", times: 1 }]);
    const error = await client.inference.embed({ model: "embed", input: ["a"] }).catch(ConnectError.from);
    expect(droverErrorFromConnect(error as ConnectError)?.kind).toBe("runner_crashed");
  });

  test("a failed load is told to all who wait, and tried again for the next call", async () => {
    ollama.setFaults([{ kind: "load-failure", model: "other", times: 1 }]);
    const outcomes = await Promise.all([chat(client, chatOf("a", "other")), chat(client, chatOf("b", "other"))]);
    expect(outcomes.map((outcome) => outcome.reason)).toEqual(["out_of_memory", "out_of_memory"]);
    expect((await chat(client, chatOf("c", "other"))).code).toBe("OK");
  });

  test("split lines, joined lines and huge lines arrive whole", async () => {
    const plain = await chat(client, { ...chatOf(), options: { seed: 5, temperature: 0 } });
    for (const fault of [
      { kind: "split-lines" },
      { kind: "joined-lines", lines: 7 },
      { kind: "huge-line", bytes: 9_000_000 },
    ] as const) {
      ollama.setFaults([{ ...fault, endpoint: "chat", times: 1 }]);
      const outcome = await chat(client, { ...chatOf(), options: { seed: 5, temperature: 0 } });
      expect(outcome.code).toBe("OK");
      expect(outcome.text.replace(/x{100,}/, "").length).toBeGreaterThan(0);
      if (fault.kind !== "huge-line") expect(outcome.text).toBe(plain.text);
    }
  });

  describe("a caller that leaves", () => {
    test.each<[string, Fault[]]>([
      ["before the first token", [{ kind: "slow-first-token", delayMs: 1_000, endpoint: "chat" }]],
      ["after the first token", [{ kind: "hang", afterChunks: 2, endpoint: "chat" }]],
    ])("%s closes Ollama's socket at once", async (_, faults) => {
      ollama.setFaults(faults);
      ollama.clearRequests();
      const leave = new AbortController();
      const outcome = chat(client, chatOf(), { signal: leave.signal });
      await eventually(() => expect(lastChat()?.phase).toMatch(faults[0]?.kind === "hang" ? /decode/ : /prefill/));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(lastChat()?.end).toBeUndefined();
      leave.abort();
      const leftAtMs = performance.now();
      await eventually(() => expect(lastChat()?.end?.how).toBe("client-closed"));
      expect(performance.now() - leftAtMs).toBeLessThan(100);
      expect((await outcome).code).toBe("Canceled");
      ollama.setFaults([]);
      expect((await chat(client)).code).toBe("OK");
    });

    test("while it embeds closes Ollama's socket at once", async () => {
      ollama.setFaults([{ kind: "hang", endpoint: "embed", times: 1 }]);
      await client.inference.embed({ model: "embed", input: [] }).catch(() => undefined);
      ollama.setFaults([{ kind: "hang", endpoint: "embed", times: 1 }]);
      ollama.clearRequests();
      const leave = new AbortController();
      const call = client.inference
        .embed({ model: "embed", input: ["a"] }, { signal: leave.signal })
        .catch(() => undefined);
      await eventually(() => expect(inferenceRequests().at(-1)?.path).toBe("/api/embed"));
      leave.abort();
      await call;
      await eventually(() => expect(inferenceRequests().at(-1)?.end?.how).toBe("client-closed"));
    });

    test("while it waits gives its place up at once, and Ollama never hears of it", async () => {
      ollama.setFaults([{ kind: "hang", afterChunks: 2, endpoint: "chat", times: 1 }]);
      const running = chat(client);
      await eventually(() => expect(lastChat()?.phase).toBe("decode"));
      ollama.clearRequests();
      const leave = new AbortController();
      const waiting = chat(client, chatOf("waits"), { signal: leave.signal });
      await eventually(async () =>
        expect((await client.agent.getStatus({})).load).toMatchObject({ queued: 1, active: 1 }),
      );
      leave.abort();
      await eventually(async () => expect((await client.agent.getStatus({})).load).toMatchObject({ queued: 0 }));
      expect((await waiting).code).toBe("Canceled");
      await running;
      expect(inferenceRequests()).toEqual([]);
    });

    test("during a load does not end the load", async () => {
      await client.inference
        .generate({ model: "other", keepAlive: { seconds: 0n } })
        [Symbol.asyncIterator]()
        .next();
      await eventually(async () =>
        expect((await client.agent.getStatus({})).load?.runners.some((runner) => runner.model === "other:latest")).toBe(
          false,
        ),
      );
      ollama.setFaults([{ kind: "delay", delayMs: 300, endpoint: "generate", model: "other", times: 1 }]);
      ollama.clearRequests();
      const leave = new AbortController();
      const left = chat(client, chatOf("a", "other"), { signal: leave.signal });
      await eventually(() => expect(inferenceRequests()).toHaveLength(1));
      leave.abort();
      await left;
      expect((await chat(client, chatOf("b", "other"))).code).toBe("OK");
      expect(inferenceRequests().map(({ path, end }) => [path, end?.how])).toEqual([
        ["/api/generate", "completed"],
        ["/api/chat", "completed"],
      ]);
    });
  });

  test("a deadline ends the call a little early and says where the time went", async () => {
    ollama.setFaults([{ kind: "slow-first-token", delayMs: 1_000, endpoint: "chat", times: 1 }]);
    const { headers } = await rawChat(agent.address, { "grpc-timeout": "400m" });
    expect(headers["grpc-status"]).toBe("4");
    await eventually(() => {
      const totalMs = /"totalMs":(\d+),"status":"DEADLINE_EXCEEDED"/.exec(agent.log())?.[1];
      expect(Number(totalMs)).toBeGreaterThan(350);
      expect(Number(totalMs)).toBeLessThan(400);
    });
    const message = decodeURIComponent(String(headers["grpc-message"]));
    expect(message).toMatch(
      /deadline passed in the prefill for model "chat" on node "node-1": queue \d+ ms, load 0 ms, prefill \d+ ms, decode 0 ms/,
    );
  });

  test("says where a call stands when nothing went out for two seconds, unless it was told not to", async () => {
    ollama.setFaults([
      { kind: "delay", delayMs: 2_300, endpoint: "generate", model: "plain", times: 1 },
      { kind: "hang", endpoint: "generate", model: "embed", times: 1 },
    ]);
    const loud = chat(client, chatOf("a", "plain"));
    const silent = chat(client, chatOf("b", "plain"), { headers: { "drover-progress": "off" } });
    expect(await loud).toMatchObject({ code: "OK", progress: expect.arrayContaining(["loading"]) });
    expect(await silent).toMatchObject({ code: "OK", progress: [] });
  });

  test("a slow reader does not hold Ollama up, and costs a bounded amount of memory", async () => {
    const fast = await createSimOllama({
      models: ["chat"],
      speed: 1e6,
      loadSeconds: 0,
      answerTokens: 300_000,
      context: 32_768,
    });
    const own = await startDrover("agent", ["--ollama", fast.url, "--name", "node-2"]);
    try {
      const reader = openRawChat(own.address);
      const chunks = () => fast.requests().findLast(({ path }) => path === "/api/chat")?.chunks ?? 0;
      await eventually(() => expect(chunks()).toBeGreaterThan(1_000));
      let before = -1;
      await eventually(async () => {
        before = chunks();
        await new Promise((resolve) => setTimeout(resolve, 400));
        expect(chunks()).toBe(before);
      }, 15_000);
      // 1 MiB of the agent's, and what the sockets of both sides hold; the whole answer has over 20 MB.
      expect(before).toBeGreaterThan(5_000);
      expect(before).toBeLessThan(250_000);
      reader.destroy();
      await eventually(() =>
        expect(fast.requests().findLast(({ path }) => path === "/api/chat")?.end?.how).toBe("client-closed"),
      );
    } finally {
      await own.stop();
      await fast.close();
    }
  });

  describe("bad input", () => {
    test.each<[string, ChatInit, string, string, RegExp]>([
      [
        "no model",
        { messages: [{ role: "user", content: "x" }] },
        "InvalidArgument",
        "malformed_request",
        /names no model/,
      ],
      ["a bad name", chatOf("x", "a b"), "InvalidArgument", "malformed_request", /"a b" is no model name/],
      ["an unknown model", chatOf("x", "llama9"), "NotFound", "node_lacks_model", /ollama pull llama9/],
      ["a cloud model", chatOf("x", "gpt-oss:20b-cloud"), "PermissionDenied", "permission_denied", /cloud/],
      [
        "tools without the capability",
        { ...chatOf("x", "plain"), tools: [{ function: { name: "f" } }] },
        "FailedPrecondition",
        "capability_missing",
        /"plain:latest" on node "node-1" lacks the capability "tools"/,
      ],
      [
        "an image for a text model",
        { model: "plain", messages: [{ role: "user", content: "x", images: [new Uint8Array([1])] }] },
        "FailedPrecondition",
        "capability_missing",
        /"vision"/,
      ],
      [
        "thinking without the capability",
        { ...chatOf(), think: { kind: { case: "enabled", value: true } } },
        "FailedPrecondition",
        "capability_missing",
        /"thinking"/,
      ],
      [
        "a schema that is no JSON",
        { ...chatOf(), format: { kind: { case: "jsonSchema", value: "{" } } },
        "InvalidArgument",
        "malformed_request",
        /format\.json_schema/,
      ],
      [
        "an option of the wrong type",
        { ...chatOf(), options: { extraOptionsJson: '{"num_predict":"many"}' } },
        "InvalidArgument",
        "request_rejected",
        /must be of type integer/,
      ],
    ])("%s", async (_, request, code, reason, message) => {
      const outcome = await chat(client, request);
      expect([outcome.code, outcome.reason]).toEqual([code, reason]);
      expect(outcome.message).toMatch(message);
    });

    test("embedding with a model that cannot", async () => {
      const error = await client.inference.embed({ model: "plain", input: ["a"] }).catch(ConnectError.from);
      expect(droverErrorFromConnect(error as ConnectError)).toMatchObject({ kind: "capability_missing" });
    });

    test("a call for another node", async () => {
      const { node } = await client.agent.getStatus({});
      expect(await chat(client, chatOf(), { headers: { "drover-node": "node-9" } })).toMatchObject({
        code: "NotFound",
        reason: "node_not_found",
      });
      expect(await chat(client, chatOf(), { headers: { "drover-node": node?.id ?? "" } })).toMatchObject({
        code: "OK",
      });
    });

    test("metadata of the wrong form", async () => {
      expect(await chat(client, chatOf(), { headers: { "drover-progress": "maybe" } })).toMatchObject({
        code: "InvalidArgument",
        reason: "malformed_request",
      });
    });
  });

  describe("for operators", () => {
    test("drains and resumes", async () => {
      expect((await client.agent.drain({ reason: "new disk" })).condition).toMatchObject({
        isDraining: true,
        drainReason: "new disk",
      });
      expect(await chat(client)).toMatchObject({ code: "Unavailable", reason: "node_draining" });
      expect((await client.health.check({})).status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
      expect((await client.agent.resume({})).condition).toMatchObject({ isDraining: false, drainReason: "" });
      expect((await chat(client)).code).toBe("OK");
      expect((await client.health.check({ service: InferenceService.typeName })).status).toBe(
        HealthCheckResponse_ServingStatus.SERVING,
      );
    });

    test("finishes what runs while it drains", async () => {
      ollama.setFaults([{ kind: "slow-first-token", delayMs: 300, endpoint: "chat", times: 1 }]);
      const running = chat(client);
      await eventually(() => expect(lastChat()?.end).toBeUndefined());
      await client.agent.drain({});
      expect((await running).code).toBe("OK");
      await client.agent.resume({});
    });

    test("shows a model in Ollama's words", async () => {
      const shown = await client.agent.showModel({ model: "PLAIN" });
      expect(shown.model).toMatchObject({ name: "plain:latest", capabilities: ["completion"], contextLength: 32_768 });
      expect(JSON.parse(shown.showJson)).toHaveProperty("model_info");
      await expect(client.agent.showModel({ model: "llama9" })).rejects.toMatchObject({ code: Code.NotFound });
    });

    test("says plainly what it cannot do yet", async () => {
      await expect(client.agent.unloadModel({ model: "chat" })).rejects.toMatchObject({
        code: Code.Unimplemented,
        rawMessage: expect.stringContaining("ollama stop"),
      });
      await expect(client.agent.pullModel({ model: "chat" })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
        code: Code.Unimplemented,
      });
    });

    test("is ready while Ollama answers", async () => {
      const response = await fetch(`http://${agent.opsAddress}/readyz`);
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { isReady: true, dependencies: [{ name: "ollama" }] },
      ]);
    });

    test("logs one line per call, and never what was said", async () => {
      await chat(client, chatOf("the-secret-prompt"));
      await eventually(() => expect(agent.log()).toMatch(/"method":"Chat","model":"chat".*"status":"OK"/));
      expect(agent.log()).not.toContain("the-secret-prompt");
    });
  });

  test("slow answers about loaded models do not make the node look dead", async () => {
    ollama.setFaults([{ kind: "delay", delayMs: 10_000, endpoint: "ps" }]);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect((await client.agent.getStatus({})).condition?.isOllamaReachable).toBe(true);
    expect((await chat(client)).code).toBe("OK");
  });
});

describe("an agent whose Ollama is not there", () => {
  test("starts, says so, and serves within seconds once Ollama is there", async () => {
    const first = await createSimOllama({ models: ["chat"], loadSeconds: 0, speed: 1_000 });
    const port = Number(first.address.split(":")[1]);
    await first.close();
    const agent = await startDrover("agent", ["--ollama", `127.0.0.1:${port}`, "--name", "node-3"]);
    const client = clientsOf(agent.address);
    let ollama: SimOllama | undefined;
    try {
      const away = await chat(client);
      expect([away.code, away.reason]).toEqual(["Unavailable", "ollama_unreachable"]);
      expect(away.message).toMatch(/Ollama on node "node-3" does not answer/);
      expect((await client.agent.getStatus({})).inventory).toMatchObject({ isComplete: false, models: [] });
      expect((await fetch(`http://${agent.opsAddress}/readyz`)).status).toBe(503);
      expect((await client.health.check({})).status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
      ollama = await createSimOllama({ models: ["chat"], loadSeconds: 0, speed: 1_000, port });
      await eventually(async () => expect((await client.agent.getStatus({})).inventory?.isComplete).toBe(true), 2_500);
      expect((await chat(client)).code).toBe("OK");
      await ollama.close();
      await eventually(async () => expect((await client.agent.getStatus({})).condition?.isOllamaReachable).toBe(false));
      expect((await chat(client)).reason).toBe("ollama_unreachable");
    } finally {
      await agent.stop();
      await ollama?.close();
    }
  });

  test("says that it drains to its routers when it is stopped, lets an answer end, and is gone", async () => {
    const ollama = await createSimOllama({ models: ["chat"], loadSeconds: 0, speed: 20, answerTokens: 20 });
    const agent = await startDrover("agent", ["--ollama", ollama.url]);
    const client = clientsOf(agent.address);
    try {
      const statuses: boolean[] = [];
      const attached = watchAttach(client, (isDraining) => statuses.push(isDraining));
      const answer = chat(client);
      await eventually(() => expect(statuses).toContain(false));
      await eventually(() =>
        expect(ollama.requests().some(({ path, chunks }) => path === "/api/chat" && chunks > 0)).toBe(true),
      );
      const stopped = agent.stop();
      await attached;
      expect(statuses.at(-1)).toBe(true);
      expect((await answer).code).toBe("OK");
      const answeredAtMs = performance.now();
      expect(await stopped).toBe(0);
      expect(performance.now() - answeredAtMs).toBeLessThan(2_000);
    } finally {
      await agent.stop();
      await ollama.close();
    }
  });

  test("ends cleanly on SIGTERM, and refuses wrong flags in one go", async () => {
    const agent = await startDrover("agent", ["--ollama", "127.0.0.1:1"]);
    expect(await agent.stop()).toBe(0);
    await expect(startDrover("agent", ["--ollama", "127.0.0.1:1", "--slots", "none", "--weight", "0"])).rejects.toThrow(
      /it ended with 2: (.|\n)*--slots(.|\n)*--weight/,
    );
    await expect(startDrover("agent", ["--listen", "0.0.0.0:0"])).rejects.toThrow(/it ended with 2: .*--insecure/);
  });
});

/** Attaches as a router does; resolves when the agent ends the stream. */
async function watchAttach(client: Client, onCondition: (isDraining: boolean) => void): Promise<void> {
  const { promise: forever } = Promise.withResolvers<void>();
  async function* requests(): AsyncGenerator<MessageInitShape<typeof AttachRequestSchema>> {
    yield { event: { case: "hello", value: { router: "test", incarnation: "1" } } };
    await forever;
  }
  try {
    for await (const { event } of client.agent.attach(requests())) {
      if (event.case === "status" && event.value.condition !== undefined) onCondition(event.value.condition.isDraining);
    }
  } catch {
    // connect's client takes an answer that ends before its request for a broken one.
  }
}

interface RawAnswer {
  readonly headers: Record<string, unknown>;
  readonly isTrailersOnly: boolean;
}

/** A chat whose answer nobody reads. */
function openRawChat(address: string): { destroy(): void } {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": "/drover.inference.v1.InferenceService/Chat",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => undefined);
  stream.end(frame());
  return { destroy: () => session.destroy() };
}

/** The first HEADERS of a chat's answer, as they are on the wire. */
function rawChat(address: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
  const session = connect(`http://${address}`);
  return new Promise((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": "/drover.inference.v1.InferenceService/Chat",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    stream.on("response", (answer, flags) => {
      resolve({ headers: { ...answer }, isTrailersOnly: (flags & 0x1) !== 0 });
      session.destroy();
    });
    stream.on("error", reject);
    stream.end(frame());
  });
}

function frame(): Buffer {
  const request = create(ChatRequestSchema, { model: "chat", messages: [{ role: "user", content: "hi" }] });
  const message = toBinary(ChatRequestSchema, request);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
