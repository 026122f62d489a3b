import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type EmbedRequest,
  EmbedRequestSchema,
  type GenerateRequest,
  GenerateRequestSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { done, inMemoryRouter, MODEL, messages, say } from "../../test/in-memory-router.ts";
import { createDroverClient as inBrowser } from "../browser.ts";
import { createDroverClient } from "../index.ts";
import type { ChatInput } from "./chat.ts";
import type { EmbedInput } from "./embed.ts";
import type { GenerateInput } from "./generate.ts";

const second = { seconds: 1n, nanos: 0 };

async function sentChat(input: Partial<ChatInput>): Promise<ChatRequest> {
  const { transport, requests } = inMemoryRouter({ chat: () => [done()] });
  await createDroverClient({ transport })
    .chat({ model: MODEL, messages, ...input })
    .text();
  return requests[0] as ChatRequest;
}

function imageFile(bytes: number): string {
  const folder = mkdtempSync(join(tmpdir(), "drover-image-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "image.png");
  writeFileSync(file, "");
  truncateSync(file, bytes);
  return file;
}

describe("a chat request", () => {
  it("carries every field to its place in the contract", async () => {
    const sent = await sentChat({
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hi", images: [new Uint8Array([1])] },
        {
          role: "assistant",
          content: "",
          thinking: "hm",
          toolCalls: [
            { id: "c1", name: "clock", arguments: { zone: "UTC", a: 1 } },
            { name: "raw", argumentsJson: '{ "b":1, "a":2 }', arguments: { not: "this" }, index: 1 },
            { name: "bare" },
          ],
        },
        { role: "tool", content: "noon", toolName: "clock", toolCallId: "c1" },
      ],
      tools: [
        { name: "clock", description: "Tells the time", parameters: { type: "object" } },
        { name: "bare", type: "x", itemsJson: "[]" },
      ],
      format: { type: "object", properties: { z: {}, a: {} } },
      think: "high",
      options: { temperature: 0, numCtx: 4_096, stop: ["\n"], seed: undefined, extra: { mirostat: 1 } },
      keepAliveMs: -1,
      truncate: false,
      shift: false,
      logprobs: true,
      topLogprobs: 2,
      extra: { novelty: true },
    });
    expect(sent).toEqual(
      create(ChatRequestSchema, {
        model: MODEL,
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "Hi", images: [new Uint8Array([1])] },
          {
            role: "assistant",
            thinking: "hm",
            toolCalls: [
              { id: "c1", function: { name: "clock", argumentsJson: '{"zone":"UTC","a":1}' } },
              { function: { index: 1, name: "raw", argumentsJson: '{ "b":1, "a":2 }' } },
              { function: { name: "bare", argumentsJson: "{}" } },
            ],
          },
          { role: "tool", content: "noon", toolName: "clock", toolCallId: "c1" },
        ],
        tools: [
          { function: { name: "clock", description: "Tells the time", parametersJson: '{"type":"object"}' } },
          { type: "x", itemsJson: "[]", function: { name: "bare" } },
        ],
        format: { kind: { case: "jsonSchema", value: '{"type":"object","properties":{"z":{},"a":{}}}' } },
        think: { kind: { case: "level", value: "high" } },
        options: { temperature: 0, numCtx: 4_096, stop: ["\n"], extraOptionsJson: '{"mirostat":1}' },
        keepAlive: { seconds: 0n, nanos: -1_000_000 },
        truncate: false,
        shift: false,
        logprobs: true,
        topLogprobs: 2,
        extraJson: '{"novelty":true}',
      }),
    );
  });

  it("leaves out what was not said", async () => {
    expect(await sentChat({})).toEqual(create(ChatRequestSchema, { model: MODEL, messages: [...messages] }));
    expect((await sentChat({ think: false })).think?.kind).toEqual({ case: "enabled", value: false });
    expect((await sentChat({ format: "json" })).format?.kind).toEqual({ case: "json", value: true });
  });

  it("takes images as bytes, buffers, blobs, paths and file URLs", async () => {
    const file = imageFile(3);
    const bytes = new Uint8Array([1, 2]);
    const images = [bytes, bytes.buffer, new Blob([bytes]), file, pathToFileURL(file)];
    const sent = await sentChat({ messages: [{ role: "user", content: "?", images }] });
    expect(sent.messages[0]?.images.map((image) => [...image])).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it.each([
    ["no such file", () => "/nowhere/cat.png", /The image "\/nowhere\/cat.png" cannot be read: ENOENT/],
    ["a file that no request may hold", () => imageFile(64 * 1024 * 1024 + 1), /over 64 MiB/],
    ["what is no image", () => 5 as never, /must be a Uint8Array/],
  ])("is refused for %s", async (_, image, words) => {
    await expect(sentChat({ messages: [{ role: "user", content: "?", images: [image()] }] })).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT_LOCAL",
      message: expect.stringMatching(words),
    });
  });

  it.each<[string, object, string]>([
    ["a fraction", { options: { numPredict: 1.5 } }, "options.numPredict must be a whole number, not 1.5."],
    [
      "a number that is too large",
      { options: { numCtx: 2 ** 40 } },
      "options.numCtx must be a whole number, not 1099511627776.",
    ],
    ["text for a number", { options: { temperature: "hot" } }, "options.temperature must be a number, not string."],
    [
      "Ollama's spelling",
      { options: { num_ctx: 1 } },
      "options.num_ctx is not known; what Ollama has beside goes into `extra`.",
    ],
    ["text for a list", { options: { stop: "x" } }, "options.stop must be a list, not string."],
    [
      "content in parts",
      { messages: [{ role: "user", content: [{}] }] },
      "messages[0].content must be text, not a list.",
    ],
    ["a tool without a name", { tools: [{ name: 5 }] }, "tools[0].function.name must be text, not 5."],
    ["a switch that is none", { truncate: "no" }, "truncate must be true or false, not string."],
    ["messages that are none", { messages: "Hello" }, "messages must be a list."],
    ["a model that is none", { model: 5 }, "model must be text, not 5."],
  ])("is refused, by the name of the field, for %s", async (_, input, message) => {
    await expect(sentChat(input)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT_LOCAL", message });
  });

  it("takes no paths where there are no files", async () => {
    const { transport } = inMemoryRouter({});
    const stream = inBrowser({ transport }).chat({
      model: MODEL,
      messages: [{ role: "user", content: "?", images: ["a.png"] }],
    });
    await expect(stream.text()).rejects.toThrow(/in Node only/);
  });

  it("is refused for a keepAliveMs that is no number", async () => {
    await expect(sentChat({ keepAliveMs: Number.POSITIVE_INFINITY })).rejects.toThrow(
      /keepAliveMs must be a number of ms/,
    );
  });
});

describe("a chat answer", () => {
  const tools = [
    { name: "weather", parameters: z.object({ city: z.string(), days: z.coerce.number() }) },
    { name: "clock" },
  ] as const;
  const call = (name: string, argumentsJson: string, id = "") => ({
    case: "chunk" as const,
    value: { message: { role: "assistant", toolCalls: [{ id, function: { name, argumentsJson, index: 1 } }] } },
  });
  const answering = (...events: ReturnType<typeof say>[]) =>
    createDroverClient({ transport: inMemoryRouter({ chat: () => events }).transport });

  it("brings tool calls with their arguments parsed by the tool's schema, and as they were written", async () => {
    const client = answering(
      call("weather", '{"days":"3","city":"Bonn"}', "c1"),
      call("clock", ""),
      call("other", "{}"),
      done(),
    );
    const result = await client.chat({ model: MODEL, messages, tools }).result();
    expect(result.toolCalls).toEqual([
      {
        id: "c1",
        index: 1,
        name: "weather",
        arguments: { city: "Bonn", days: 3 },
        argumentsJson: '{"days":"3","city":"Bonn"}',
      },
      { id: undefined, index: 1, name: "clock", arguments: {}, argumentsJson: "{}" },
      { id: undefined, index: 1, name: "other", arguments: {}, argumentsJson: "{}" },
    ]);
    // Sent back as the model wrote it.
    const again = await sentChat({ messages: [result.message] });
    expect(again.messages[0]?.toolCalls[0]?.function?.argumentsJson).toBe('{"days":"3","city":"Bonn"}');
  });

  it("fails with the arguments as text when they are not what the tool's schema asks for", async () => {
    const client = answering(say("hm"), call("weather", '{"city":1}'), done());
    await expect(client.chat({ model: MODEL, messages, tools }).text()).rejects.toMatchObject({
      reason: "OUTPUT_INVALID",
      partialText: '{"city":1}',
      message: expect.stringContaining('The arguments of the call to "weather"'),
      tokensReceived: 1,
      callId: "call-1",
    });
  });

  it("is parsed by `format`", async () => {
    const client = answering(say('{"city":'), say('"Bonn"}'), done());
    const format = z.object({ city: z.string() });
    expect((await client.chat({ model: MODEL, messages, format }).result()).parsed).toEqual({ city: "Bonn" });
    expect((await client.chat({ model: MODEL, messages, format: "json" }).result()).parsed).toEqual({ city: "Bonn" });
    expect((await client.chat({ model: MODEL, messages }).result()).parsed).toBeUndefined();
  });

  it("says that it was cut when its JSON is", async () => {
    const client = answering(say('{"city":'), done("length"));
    const stream = client.chat({ model: MODEL, messages, format: "json" });
    expect(await stream.text()).toBe('{"city":');
    await expect(stream.result()).rejects.toMatchObject({
      reason: "OUTPUT_INVALID",
      partialText: '{"city":',
      message: expect.stringMatching(/is not JSON.*cut at its limit of tokens/),
      tokensReceived: 3,
      callId: "call-1",
    });
  });

  it("has nothing to parse when the model called a tool instead", async () => {
    const client = answering(call("clock", "{}"), done());
    expect((await client.chat({ model: MODEL, messages, tools, format: "json" }).result()).parsed).toBeUndefined();
  });

  it("tells what the node and the router say of it", async () => {
    const { transport } = inMemoryRouter({
      chat: (_, { responseTrailer }) => {
        const trailers = {
          node: "caf%C3%A9",
          attempts: "2",
          "queue-ms": "7",
          "load-ms": "0",
          "ttft-ms": "90",
          why: "took%20it",
        };
        for (const [key, value] of Object.entries(trailers)) responseTrailer.set(`drover-${key}`, value);
        const completion = {
          doneReason: "stop",
          totalDuration: second,
          promptEvalCount: 5,
          evalCount: 2,
          contextLength: 4_096,
        };
        const logprobs = [{ token: "a", logprob: -0.5 }];
        return [
          { case: "chunk", value: { message: { thinking: "hm", content: "a" }, logprobs } },
          { case: "done", value: { completion } },
        ];
      },
    });
    const result = await createDroverClient({ transport }).chat({ model: MODEL, messages }, { why: true }).result();
    expect(result).toMatchObject({
      ...{ node: "café", attempts: 2, queueMs: 7, loadMs: 0, ttftMs: 90, why: "took it", callId: "call-1" },
      ...{ text: "a", thinking: "hm", promptTokens: 5, generatedTokens: 2, contextLength: 4_096 },
      durations: { totalMs: 1_000, loadMs: undefined, promptMs: undefined, generationMs: undefined },
      logprobs: [{ token: "a", logprob: -0.5 }],
      message: { role: "assistant", content: "a", thinking: "hm" },
    });
    expect(result.raw.$typeName).toBe("drover.inference.v1.ChatDone");
  });

  it("makes do with a node that says little", async () => {
    const { transport } = inMemoryRouter({ chat: () => [{ case: "done", value: {} }] });
    const result = await createDroverClient({ transport }).chat({ model: MODEL, messages }).result();
    expect(result).toMatchObject({
      text: "",
      doneReason: "",
      promptTokens: 0,
      attempts: undefined,
      queueMs: undefined,
    });
  });
});

describe("a generate call", () => {
  it("carries every field, and brings text, thinking, tool calls and context", async () => {
    const { transport, requests } = inMemoryRouter({
      generate: () => [
        { case: "chunk", value: { response: "a", thinking: "hm" } },
        { case: "chunk", value: { toolCalls: [{ function: { name: "t", argumentsJson: '{"x":1}' } }] } },
        { case: "done", value: { response: "b", context: [1, 2], completion: { doneReason: "stop" } } },
      ],
    });
    const input: GenerateInput = {
      ...{ model: MODEL, prompt: "p", suffix: "s", system: "y", template: "t", raw: true, context: [7] },
      ...{ images: [new Uint8Array([1])], think: true, truncate: true, shift: true, logprobs: true, topLogprobs: 1 },
      keepAliveMs: 1_500,
    };
    const result = await createDroverClient({ transport }).generate(input).result();
    expect(result).toMatchObject({ text: "ab", thinking: "hm", context: [1, 2], doneReason: "stop" });
    expect(result.toolCalls[0]?.arguments).toEqual({ x: 1 });
    const { keepAliveMs: _, ...fields } = input;
    expect(requests[0] as GenerateRequest).toEqual(
      create(GenerateRequestSchema, {
        ...(fields as object),
        think: { kind: { case: "enabled", value: true } },
        keepAlive: { seconds: 1n, nanos: 500_000_000 },
      }),
    );
  });

  it("is parsed by `format`", async () => {
    const { transport } = inMemoryRouter({
      generate: () => [{ case: "done", value: { response: "[1]", completion: { doneReason: "stop" } } }],
    });
    const format = z.array(z.number());
    const { parsed } = await createDroverClient({ transport }).generate({ model: MODEL, prompt: "", format }).result();
    expect(parsed).toEqual([1]);
  });
});

describe("an embed call", () => {
  it("takes one text or several, and tells what the router says of it", async () => {
    const { transport, requests } = inMemoryRouter({
      embed: ({ input }, { responseTrailer }) => {
        responseTrailer.set("drover-attempts", "1");
        const embeddings = input.map((_, index) => ({ values: [index, 0.5] }));
        return { embeddings, promptEvalCount: 4, totalDuration: second, node: "one" };
      },
    });
    const client = createDroverClient({ transport });
    const input: EmbedInput = {
      model: MODEL,
      input: ["a", "b"],
      truncate: false,
      dimensions: 2,
      options: { numCtx: 512 },
    };
    expect(await client.embed(input)).toMatchObject({
      embeddings: [
        [0, 0.5],
        [1, 0.5],
      ],
      ...{
        promptTokens: 4,
        node: "one",
        attempts: 1,
        callId: "call-1",
        durations: { totalMs: 1_000, loadMs: undefined },
      },
    });
    await client.embed({ model: MODEL, input: "a" });
    expect(requests as EmbedRequest[]).toEqual([
      create(EmbedRequestSchema, {
        model: MODEL,
        input: ["a", "b"],
        truncate: false,
        dimensions: 2,
        options: { numCtx: 512 },
      }),
      create(EmbedRequestSchema, { model: MODEL, input: ["a"] }),
    ]);
  });
});
