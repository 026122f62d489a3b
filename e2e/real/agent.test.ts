/** An agent beside the real Ollama: every field arrives, loads outlive their callers, crashes are told as what they are. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { droverErrorFromConnect } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import {
  type ChatDone,
  type ChatRequest,
  type ChatRequestSchema,
  type GenerateDone,
  type GenerateRequest,
  type GenerateRequestSchema,
  InferenceService,
  type Logprob,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { send } from "../src/ollama-http.ts";
import { type RealOllama, startRealOllama } from "../src/real-ollama.ts";
import { describeWith } from "../src/real-programs.ts";

type ChatInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;
type GenerateInit = Exclude<MessageInitShape<typeof GenerateRequestSchema>, GenerateRequest>;

interface Outcome<Done> {
  readonly text: string;
  readonly chunks: number;
  readonly done: Done | undefined;
  readonly code: string;
  readonly reason: string | undefined;
  readonly message: string;
}

describeWith(["ollama", "model"], "an agent beside the real Ollama", () => {
  let ollama: RealOllama;
  let agent: DroverProcess;
  let model = "";
  let inference: ReturnType<typeof inferenceOf>;
  let operator: ReturnType<typeof operatorOf>;

  beforeAll(async () => {
    ollama = await startRealOllama({ slots: 2 });
    model = ollama.models.chat;
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "real", "--slots", "2"]);
    inference = inferenceOf(agent.address);
    operator = operatorOf(agent.address);
  }, 120_000);
  afterAll(async () => {
    expect(await agent?.stop()).toBe(0);
    await ollama?.close();
  });

  const short = { numPredict: 4, temperature: 0 };

  async function chat(init: ChatInit, signal?: AbortSignal): Promise<Outcome<ChatDone>> {
    const outcome = { text: "", chunks: 0, done: undefined as ChatDone | undefined };
    const ending = await endingOf(async () => {
      for await (const { event } of inference.chat({ model, ...init }, signal === undefined ? {} : { signal })) {
        if (event.case === "chunk" || event.case === "done") outcome.text += event.value.message?.content ?? "";
        if (event.case === "chunk") outcome.chunks++;
        if (event.case === "done") outcome.done = event.value;
      }
    });
    return { ...outcome, ...ending };
  }

  async function generate(init: GenerateInit, signal?: AbortSignal): Promise<Outcome<GenerateDone>> {
    const outcome = { text: "", chunks: 0, done: undefined as GenerateDone | undefined };
    const ending = await endingOf(async () => {
      for await (const { event } of inference.generate({ model, ...init }, signal === undefined ? {} : { signal })) {
        if (event.case === "chunk" || event.case === "done") outcome.text += event.value.response;
        if (event.case === "chunk") outcome.chunks++;
        if (event.case === "done") outcome.done = event.value;
      }
    });
    return { ...outcome, ...ending };
  }

  const user = (content: string): ChatInit => ({ messages: [{ role: "user", content }] });
  const runners = async () => (await operator.getStatus({})).load?.runners ?? [];

  test("lists the models with what they can do, and shows one in Ollama's words", async () => {
    const { condition } = await operator.getStatus({});
    expect(condition).toMatchObject({ isOllamaReachable: true, ollamaVersion: expect.stringMatching(/^0\.24\./) });
    const tools = await vi.waitUntil(async () => {
      const models = (await operator.getStatus({})).inventory?.models;
      return models?.find(({ name, capabilities }) => name === ollama.models.tools && capabilities.length > 0);
    });
    expect(tools).toMatchObject({
      capabilities: ["completion", "tools"],
      contextLength: 8192,
      family: "llama",
      quantizationLevel: "Q4_1",
    });
    expect(tools.digest).toMatch(/^[0-9a-f]{64}$/);
    const { showJson } = await operator.showModel({ model: model.toUpperCase() });
    expect(JSON.parse(showJson)).toMatchObject({ template: expect.stringContaining("<|im_start|>") });
  });

  test("takes every field of a chat at once", async () => {
    const outcome = await chat({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What is the weather?" },
        {
          role: "assistant",
          content: "",
          toolCalls: [{ id: "c1", function: { index: 0, name: "weather", argumentsJson: '{"z":1,"a":2}' } }],
        },
        { role: "tool", content: "sunny", toolName: "weather", toolCallId: "c1" },
      ],
      model: ollama.models.tools,
      tools: [
        {
          function: {
            name: "weather",
            description: "tells",
            parametersJson: '{"type":"object","properties":{"city":{"type":"string"}}}',
          },
        },
      ],
      format: {
        kind: {
          case: "jsonSchema",
          value: '{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}',
        },
      },
      think: { kind: { case: "enabled", value: false } },
      options: {
        ...{
          numKeep: 1,
          seed: 7,
          numPredict: 24,
          topK: 20,
          topP: 0.9,
          minP: 0.01,
          typicalP: 1,
          repeatLastN: 32,
          temperature: 0.1,
        },
        ...{
          repeatPenalty: 1.1,
          presencePenalty: 0.1,
          frequencyPenalty: 0.1,
          stop: ["<never>"],
          numBatch: 256,
          numThread: 2,
        },
        extraOptionsJson: '{"unknown_option":1}',
      },
      keepAlive: { seconds: 120n },
      truncate: true,
      shift: true,
      logprobs: true,
      topLogprobs: 2,
      extraJson: '{"unknown_field":{"a":1}}',
    });
    expect(outcome.code).toBe("OK");
    expect(outcome.text).toMatch(/^\s*\{\s*"/);
    expect(outcome.done?.completion).toMatchObject({
      node: "real",
      contextLength: 4096,
      promptEvalCount: expect.any(Number),
    });
    expect(outcome.done?.extraJson).toBe("");
    const loaded = await runners();
    expect(loaded).toContainEqual(expect.objectContaining({ runnerOptionsJson: '{"num_batch":256,"num_thread":2}' }));
  });

  test("takes every field of generate at once, and gives counts and context back", async () => {
    const outcome = await generate({
      prompt: "One, two,",
      system: "Count.",
      template: "{{ .System }} {{ .Prompt }}",
      context: [1, 2, 3],
      options: short,
      keepAlive: { seconds: -1n },
      truncate: true,
      logprobs: true,
      topLogprobs: 1,
    });
    expect(outcome.code).toBe("OK");
    expect(outcome.done?.context.length).toBeGreaterThan(4);
    const completion = outcome.done?.completion;
    expect(completion).toMatchObject({ doneReason: "length", evalCount: 4, node: "real", contextLength: 4096 });
    for (const duration of [
      completion?.totalDuration,
      completion?.loadDuration,
      completion?.promptEvalDuration,
      completion?.evalDuration,
    ]) {
      expect(duration).toBeDefined();
    }
  });

  test("gives log probabilities with the bytes of tokens", async () => {
    const logprobs: Logprob[] = [];
    for await (const { event } of inference.chat({
      model,
      ...user("hi"),
      options: short,
      logprobs: true,
      topLogprobs: 2,
    })) {
      if (event.case === "chunk") logprobs.push(...event.value.logprobs);
    }
    expect(logprobs.length).toBeGreaterThan(0);
    for (const { token, logprob, tokenBytes, topLogprobs } of logprobs) {
      expect(Buffer.from(tokenBytes).toString()).toBe(token);
      expect(logprob).toBeLessThanOrEqual(0);
      expect(topLogprobs).toHaveLength(2);
    }
  });

  test("renders a prompt instead of answering it", async () => {
    const outcome = await chat({ ...user("hi"), debugRenderOnly: true });
    expect(outcome.done?.debugInfo?.renderedTemplate).toBe("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  });

  test("speaks raw to the model", async () => {
    const outcome = await generate({ prompt: "1, 2, 3, 4,", raw: true, options: short });
    expect([outcome.code, outcome.text.trim().startsWith("5")]).toEqual(["OK", true]);
    expect(outcome.done?.context).toEqual([]);
  });

  test.each<[string, ChatInit, string, string]>([
    [
      "an option of the wrong type",
      { options: { extraOptionsJson: '{"num_predict":"x"}' } },
      "InvalidArgument",
      "request_rejected",
    ],
    [
      "a load-time option of the wrong type",
      { options: { extraOptionsJson: '{"num_ctx":"x"}' } },
      "InvalidArgument",
      "request_rejected",
    ],
    [
      "a schema that is none",
      { format: { kind: { case: "jsonSchema", value: '{"type":7}' } } },
      "InvalidArgument",
      "request_rejected",
    ],
    ["too many log probabilities", { logprobs: true, topLogprobs: 21 }, "InvalidArgument", "request_rejected"],
    ["thinking", { think: { kind: { case: "level", value: "high" } } }, "FailedPrecondition", "capability_missing"],
    ["tools", { tools: [{ function: { name: "f" } }] }, "FailedPrecondition", "capability_missing"],
    [
      "an image",
      { messages: [{ role: "user", content: "x", images: [new Uint8Array([1])] }] },
      "FailedPrecondition",
      "capability_missing",
    ],
    ["an unknown model", { model: "nobody/has-this" }, "NotFound", "node_lacks_model"],
    ["no model", { model: "" }, "InvalidArgument", "malformed_request"],
  ])("refuses %s", async (_, init, code, reason) => {
    const outcome = await chat({ ...user("hi"), ...init });
    expect([outcome.code, outcome.reason]).toEqual([code, reason]);
  });

  test("refuses a prompt over the context where it may not be cut", async () => {
    const outcome = await chat({ ...user("word ".repeat(200)), truncate: false, options: { numCtx: 64 } });
    expect([outcome.code, outcome.reason]).toEqual(["InvalidArgument", "context_exceeded"]);
    expect(outcome.message).toContain("exceeds the context length");
  });

  test("loads another runner for another context, and says which context an answer had", async () => {
    const outcome = await chat({ ...user("hi"), options: { ...short, numCtx: 512 } });
    expect(outcome.done?.completion?.contextLength).toBe(512);
    expect(await runners()).toContainEqual(
      expect.objectContaining({ runnerOptionsJson: '{"num_ctx":512}', contextLength: 512 }),
    );
  });

  test("unloads a model when its only caller says so", async () => {
    expect((await generate({ prompt: "x", options: short, keepAlive: { seconds: 0n } })).code).toBe("OK");
    await vi.waitFor(
      async () => expect(((await send(ollama.url, "/api/ps")).json()["models"] as object[]).length).toBe(0),
      5_000,
    );
    expect((await generate({ prompt: "x", options: short })).code).toBe("OK");
  });

  test("goes on loading when the caller leaves, and the next call finds it loaded", async () => {
    await generate({ prompt: "", keepAlive: { seconds: 0n } });
    await vi.waitFor(async () => expect(await ollama.runnerPids()).toEqual([]), 10_000);
    const leave = new AbortController();
    const left = chat({ ...user("hi"), options: short }, leave.signal);
    await vi.waitFor(async () => expect(await ollama.runnerPids()).toHaveLength(1), { timeout: 10_000, interval: 5 });
    const loading = await ollama.runnerPids();
    leave.abort();
    expect((await left).code).toBe("Canceled");
    expect((await chat({ ...user("hi"), options: short })).code).toBe("OK");
    expect(await ollama.runnerPids()).toEqual(loading);
  });

  test("a caller that leaves while tokens come frees the model at once", async () => {
    const leave = new AbortController();
    const story = { ...user("Tell me a very long story."), options: { numPredict: 500 } };
    const left = chat(story, leave.signal);
    await vi.waitFor(async () => expect((await operator.getStatus({})).load?.active).toBe(1), 10_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    leave.abort();
    await left;
    await vi.waitFor(async () => expect((await operator.getStatus({})).load?.active).toBe(0), 1_000);
    expect((await chat({ ...user("hi"), options: short })).code).toBe("OK");
  });

  test("a runner that dies in the middle of an answer is told as that, and the next call has a new one", async () => {
    const story = chat({ ...user("Tell me a very long story."), options: { numPredict: 500 } });
    await vi.waitFor(async () => expect((await operator.getStatus({})).load?.active).toBe(1), 10_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const pid of await ollama.runnerPids()) process.kill(pid, "SIGKILL");
    const outcome = await story;
    expect([outcome.code, outcome.reason, outcome.done]).toEqual(["Unavailable", "runner_crashed", undefined]);
    expect((await chat({ ...user("hi"), options: short })).code).toBe("OK");
  });

  test("calls that come together share a load, and run two at a time", async () => {
    await generate({ prompt: "", keepAlive: { seconds: 0n } });
    await vi.waitFor(async () => expect(await ollama.runnerPids()).toEqual([]), 10_000);
    let most = 0;
    const watch = setInterval(() => {
      operator.getStatus({}).then(
        ({ load }) => {
          most = Math.max(most, load?.active ?? 0);
        },
        () => undefined,
      );
    }, 20);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => chat({ ...user("hi"), options: short })));
    clearInterval(watch);
    expect(outcomes.map(({ code }) => code)).toEqual(Array(5).fill("OK"));
    expect(most).toBeLessThanOrEqual(2);
    expect(await ollama.runnerPids()).toHaveLength(1);
    expect(agent.log().match(/"loading a model"/g)?.length).toBeGreaterThan(0);
  });
});

function inferenceOf(address: string) {
  return createClient(InferenceService, createGrpcTransport({ baseUrl: `http://${address}` }));
}

function operatorOf(address: string) {
  return createClient(AgentService, createGrpcTransport({ baseUrl: `http://${address}` }));
}

async function endingOf(call: () => Promise<void>): Promise<Pick<Outcome<never>, "code" | "reason" | "message">> {
  try {
    await call();
    return { code: "OK", reason: undefined, message: "" };
  } catch (error) {
    const connectError = ConnectError.from(error);
    const reason = droverErrorFromConnect(connectError)?.kind;
    return { code: Code[connectError.code], reason, message: connectError.rawMessage };
  }
}
