import { inspect } from "node:util";
/** Carries every field that Ollama's API has (api/types.go) through the translation, one row per field. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DroverError } from "@drover/platform";
import {
  ChatRequestSchema,
  EmbedRequestSchema,
  GenerateDoneSchema,
  GenerateRequestSchema,
  type OptionsSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, test } from "vitest";
import type { OllamaLine } from "./ollama-line.ts";
import { ollamaOptions } from "./ollama-options.ts";
import { toChatChunk, toChatDone, toEmbedResponse, toGenerateChunk, toGenerateDone } from "./ollama-to-response.ts";
import { chatBody, embedBody, generateBody, loadBody, runnerOptionsOf } from "./request-to-ollama.ts";

type Generate = MessageInitShape<typeof GenerateRequestSchema>;
type Chat = MessageInitShape<typeof ChatRequestSchema>;
type Embed = MessageInitShape<typeof EmbedRequestSchema>;

function generate(init: Generate, numCtx?: number): string {
  const request = create(GenerateRequestSchema, { model: "m", ...init });
  return generateBody(request, { options: ollamaOptions(request.options, numCtx), keepAlive: request.keepAlive });
}

function chat(init: Chat): string {
  const request = create(ChatRequestSchema, { model: "m", ...init });
  return chatBody(request, { options: ollamaOptions(request.options, undefined), keepAlive: request.keepAlive });
}

function embed(init: Embed): string {
  const request = create(EmbedRequestSchema, { model: "m", ...init });
  return embedBody(request, { options: ollamaOptions(request.options, undefined), keepAlive: request.keepAlive });
}

const line = (text: string): OllamaLine => {
  const object = JSON.parse(text) as Record<string, unknown>;
  return { kind: object["done"] === true ? "done" : "chunk", object, text };
};

const pixels = new Uint8Array([0, 1, 254, 255]);
const base64 = "AAH+/w==";
const schema = '{"type":"object","properties":{"z":{"type":"string"},"a":{},"10":{},"2":{}}}';

describe("requests on their way to Ollama", () => {
  test("say nothing that the caller did not say, and always ask for a stream", () => {
    expect(JSON.parse(generate({}))).toEqual({ model: "m", prompt: "", stream: true });
    expect(JSON.parse(chat({}))).toEqual({ model: "m", messages: [], stream: true });
    expect(JSON.parse(embed({}))).toEqual({ model: "m", input: [] });
  });

  test.each<[keyof Generate, Generate, string]>([
    ["model", { model: "hf.co/U/M:q4" }, '"model":"hf.co/U/M:q4"'],
    ["prompt", { prompt: 'say "hi"\n' }, '"prompt":"say \\"hi\\"\\n"'],
    ["suffix", { suffix: "end" }, '"suffix":"end"'],
    ["system", { system: "be nice" }, '"system":"be nice"'],
    ["template", { template: "{{ .Prompt }}" }, '"template":"{{ .Prompt }}"'],
    ["raw", { raw: true }, '"raw":true'],
    ["images", { images: [pixels] }, `"images":["${base64}"]`],
    ["context", { context: [1, 2, 32000] }, '"context":[1,2,32000]'],
    ["format", { format: { kind: { case: "json", value: true } } }, '"format":"json"'],
    ["format", { format: { kind: { case: "jsonSchema", value: schema } } }, `"format":${schema}`],
    ["think", { think: { kind: { case: "enabled", value: false } } }, '"think":false'],
    ["think", { think: { kind: { case: "level", value: "high" } } }, '"think":"high"'],
    ["keepAlive", { keepAlive: { seconds: 300n } }, '"keep_alive":300'],
    ["keepAlive", { keepAlive: { seconds: 0n, nanos: 500_000_000 } }, '"keep_alive":0.5'],
    ["keepAlive", { keepAlive: { seconds: 0n } }, '"keep_alive":0'],
    ["keepAlive", { keepAlive: { seconds: -60n } }, '"keep_alive":-1'],
    ["truncate", { truncate: false }, '"truncate":false'],
    ["truncate", { truncate: true }, '"truncate":true'],
    ["shift", { shift: false }, '"shift":false'],
    ["logprobs", { logprobs: true }, '"logprobs":true'],
    ["topLogprobs", { topLogprobs: 5 }, '"top_logprobs":5'],
    ["debugRenderOnly", { debugRenderOnly: true }, '"_debug_render_only":true'],
    ["extraJson", { extraJson: '{"new_field":{"2":1,"1":2}}' }, '"new_field":{"2":1,"1":2}'],
  ])("generate: %s", (_, init, expected) => {
    expect(generate(init)).toContain(expected);
  });

  test.each<[string, Chat, string]>([
    [
      "role and content",
      { messages: [{ role: "user", content: "hi" }] },
      '"messages":[{"role":"user","content":"hi"}]',
    ],
    ["empty content", { messages: [{ role: "user" }] }, '{"role":"user","content":""}'],
    ["a role of a newer Ollama", { messages: [{ role: "Developer", content: "x" }] }, '"role":"Developer"'],
    ["thinking", { messages: [{ role: "assistant", content: "x", thinking: "hm" }] }, '"thinking":"hm"'],
    [
      "images",
      { messages: [{ role: "user", content: "x", images: [pixels, pixels] }] },
      `"images":["${base64}","${base64}"]`,
    ],
    [
      "tool_name, tool_call_id",
      { messages: [{ role: "tool", content: "x", toolName: "t", toolCallId: "c1" }] },
      '"tool_name":"t","tool_call_id":"c1"',
    ],
    [
      "tool_calls, with the order of the arguments",
      {
        messages: [
          {
            role: "assistant",
            toolCalls: [
              {
                id: "c1",
                function: { index: 1, name: "f", argumentsJson: '{"z":1,"a":{"9":1,"1":2},"10":12345678901234567890}' },
              },
            ],
          },
        ],
      },
      '"tool_calls":[{"id":"c1","function":{"index":1,"name":"f","arguments":{"z":1,"a":{"9":1,"1":2},"10":12345678901234567890}}}]',
    ],
    [
      "tool_calls without arguments",
      { messages: [{ role: "assistant", toolCalls: [{ function: { name: "f" } }] }] },
      '{"function":{"name":"f","arguments":{}}}',
    ],
    [
      "tools, with the order of the properties",
      { tools: [{ function: { name: "f", description: "does", parametersJson: schema } }] },
      `"tools":[{"type":"function","function":{"name":"f","description":"does","parameters":${schema}}}]`,
    ],
    [
      "tool type and items",
      { tools: [{ type: "x", itemsJson: "[1]", function: { name: "f" } }] },
      '{"type":"x","items":[1],"function":{"name":"f"}}',
    ],
    ["format", { format: { kind: { case: "jsonSchema", value: schema } } }, `"format":${schema}`],
    ["think", { think: { kind: { case: "enabled", value: true } } }, '"think":true'],
    ["keep_alive", { keepAlive: { seconds: 1n } }, '"keep_alive":1'],
    ["truncate, shift", { truncate: false, shift: true }, '"truncate":false,"shift":true'],
    ["logprobs", { logprobs: true, topLogprobs: 2 }, '"logprobs":true,"top_logprobs":2'],
    ["_debug_render_only", { debugRenderOnly: true }, '"_debug_render_only":true'],
    ["extra fields", { extraJson: '{"x":[1]}' }, '"x":[1]'],
  ])("chat: %s", (_, init, expected) => {
    expect(chat(init)).toContain(expected);
  });

  test.each<[string, Embed, string]>([
    ["input", { input: ["a", "b"] }, '"input":["a","b"]'],
    ["truncate", { truncate: false }, '"truncate":false'],
    ["dimensions", { dimensions: 64 }, '"dimensions":64'],
    ["options", { options: { numCtx: 8 } }, '"options":{"num_ctx":8}'],
    ["keep_alive", { keepAlive: { seconds: 2n } }, '"keep_alive":2'],
    ["extra fields", { extraJson: '{"x":1}' }, '"x":1'],
  ])("embed: %s", (_, init, expected) => {
    expect(embed(init)).toContain(expected);
  });

  test.each<[MessageInitShape<typeof OptionsSchema>, string]>([
    [{ numKeep: 0 }, '"num_keep":0'],
    [{ seed: -1 }, '"seed":-1'],
    [{ numPredict: -2 }, '"num_predict":-2'],
    [{ topK: 0 }, '"top_k":0'],
    [{ topP: 0.9 }, '"top_p":0.9'],
    [{ minP: 0.05 }, '"min_p":0.05'],
    [{ typicalP: 1 }, '"typical_p":1'],
    [{ repeatLastN: -1 }, '"repeat_last_n":-1'],
    [{ temperature: 0.7 }, '"temperature":0.7'],
    [{ temperature: 0 }, '"temperature":0'],
    [{ repeatPenalty: 1.1 }, '"repeat_penalty":1.1'],
    [{ presencePenalty: -0.5 }, '"presence_penalty":-0.5'],
    [{ frequencyPenalty: 0.1 }, '"frequency_penalty":0.1'],
    [{ stop: ["<|end|>", "\n"] }, '"stop":["<|end|>","\\n"]'],
    [{ numCtx: 8192 }, '"num_ctx":8192'],
    [{ numBatch: 256 }, '"num_batch":256'],
    [{ numGpu: -1 }, '"num_gpu":-1'],
    [{ mainGpu: 1 }, '"main_gpu":1'],
    [{ useMmap: false }, '"use_mmap":false'],
    [{ numThread: 4 }, '"num_thread":4'],
    [{ draftNumPredict: 0 }, '"draft_num_predict":0'],
    [{ extraOptionsJson: '{"stop":[],"mirostat":2}' }, '"stop":[],"mirostat":2'],
  ])("options: %j", (options, expected) => {
    // A float of the wire, as it comes out of a binary message.
    const float = Object.fromEntries(
      Object.entries(options).map(([key, value]) => [key, typeof value === "number" ? Math.fround(value) : value]),
    );
    expect(generate({ options: float })).toContain(`"options":{${expected}}`);
  });

  test("keep_alive stays within what Ollama can hold", () => {
    expect(generate({ keepAlive: { seconds: 315_576_000_000n } })).toContain('"keep_alive":3000000000');
  });

  test.each<[string, string, (extraJson: string) => string]>([
    ["keep_alive", '{"x":1,"keep_alive":0}', (extraJson) => generate({ extraJson })],
    ["options", '{"options":{"num_ctx":131072}}', (extraJson) => chat({ extraJson })],
    ["stream", '{"stream":false}', (extraJson) => generate({ extraJson })],
    ["model", '{"model":null}', (extraJson) => embed({ extraJson })],
    ["shift", '{"shift":false}', (extraJson) => chat({ extraJson })],
    ["input", '{"input":"x"}', (extraJson) => embed({ extraJson })],
    ["_debug_render_only", '{"_debug_render_only":true}', (extraJson) => generate({ extraJson })],
    // Ollama reads keys as Go does: without regard to case, the Kelvin sign and the long s included.
    ["keep_alive", '{"Keep_Alive":0}', (extraJson) => embed({ extraJson })],
    ["keep_alive", '{"\u212aeep_alive":0}', (extraJson) => chat({ extraJson })],
    ["options", '{"option\u017f":{}}', (extraJson) => generate({ extraJson })],
  ])("a further field does not go round the field of ours: %s in %s", (key, extraJson, write) => {
    const error = refusalOf(() => write(extraJson));
    expect(error.kind).toBe("malformed_request");
    expect(error.message).toContain(`"${key}"`);
    expect(error.facts).toEqual({ field: `extra_json.${key}` });
  });

  test("a further field may have the name of another method's field", () => {
    expect(chat({ extraJson: '{"prompt":"x"}' })).toContain('"prompt":"x"');
  });

  test("options of ours win over further options", () => {
    const options = generate({ options: { temperature: 0.5, extraOptionsJson: '{"temperature":1,"x":1}' } });
    expect(JSON.parse(options).options).toEqual({ temperature: 0.5, x: 1 });
  });

  test("--num-ctx is for callers who name no context, in either way", () => {
    expect(JSON.parse(generate({}, 2048)).options).toEqual({ num_ctx: 2048 });
    expect(JSON.parse(generate({ options: { numCtx: 16 } }, 2048)).options).toEqual({ num_ctx: 16 });
    expect(JSON.parse(generate({ options: { extraOptionsJson: '{"num_ctx":32}' } }, 2048)).options).toEqual({
      num_ctx: 32,
    });
  });

  test.each<[string, () => string]>([
    ["extra_json", () => generate({ extraJson: "{" })],
    ["extra_json", () => generate({ extraJson: "[1]" })],
    ["options.extra_options_json", () => generate({ options: { extraOptionsJson: "nope" } })],
    ["format.json_schema", () => chat({ format: { kind: { case: "jsonSchema", value: "{" } } })],
    [
      "tools[1].function.parameters_json",
      () => chat({ tools: [{ function: { name: "a" } }, { function: { name: "b", parametersJson: "{'a'}" } }] }),
    ],
    ["tools[0].items_json", () => chat({ tools: [{ itemsJson: "," }] })],
    [
      "messages[0].tool_calls[0].function.arguments_json",
      () => chat({ messages: [{ role: "assistant", toolCalls: [{ function: { name: "f", argumentsJson: "{,}" } }] }] }),
    ],
    ["options.temperature", () => generate({ options: { temperature: Number.NaN } })],
  ])("wrong JSON is refused with the name of its field: %s", (field, write) => {
    const error = refusalOf(write);
    expect(error.kind).toBe("malformed_request");
    expect(error.message).toContain(field);
    expect(error.facts).toEqual({ field });
  });

  test("what a caller wrote does not go into a log with the error", () => {
    const error = refusalOf(() => chat({ extraJson: "My password is hunter2" }));
    expect(inspect(error)).not.toContain("hunter2");
    expect(error.cause).toBeUndefined();
  });

  test("a schema cannot break out of its place", () => {
    expect(() => chat({ format: { kind: { case: "jsonSchema", value: '{},"model":"other"' } } })).toThrow(DroverError);
  });
});

describe("the runner that a request needs", () => {
  const runner = (init: Generate): string => {
    const request = create(GenerateRequestSchema, { model: "m", ...init });
    return runnerOptionsOf(ollamaOptions(request.options, undefined), request);
  };

  test("is the default one without load-time options, whatever is sampled", () => {
    expect(runner({})).toBe("");
    expect(runner({ options: { temperature: 1, seed: 4, stop: ["x"], numPredict: 9 }, shift: true })).toBe("");
  });

  test("is named by its load-time options in sorted order, however they were given", () => {
    expect(runner({ options: { numThread: 2, numCtx: 64 } })).toBe('{"num_ctx":64,"num_thread":2}');
    expect(runner({ options: { numCtx: 64, numBatch: 8 } })).toBe('{"num_batch":8,"num_ctx":64}');
    expect(runner({ options: { numThread: 2, extraOptionsJson: '{"num_ctx": 64.0}' } })).toBe(
      '{"num_ctx":64,"num_thread":2}',
    );
    expect(runner({ options: { extraOptionsJson: '{"num_ctx":null}' } })).toBe("");
  });

  test("counts every load-time option that comes as a further option", () => {
    const given =
      '{"use_mmap":false,"num_thread":1,"num_gpu":2,"num_ctx":3,"num_batch":4,"main_gpu":5,"draft_num_predict":6}';
    const sorted = Object.entries(JSON.parse(given)).sort(([left], [right]) => (left < right ? -1 : 1));
    expect(runner({ options: { extraOptionsJson: given } })).toBe(JSON.stringify(Object.fromEntries(sorted)));
    expect(runner({ options: { numCtx: 9, extraOptionsJson: '{"num_ctx":3}' } })).toBe('{"num_ctx":9}');
  });

  test("is the same one with options at Ollama's defaults, and another one with any other value", () => {
    expect(runner({ options: { numBatch: 512, mainGpu: 0, numGpu: -1, numThread: 0 } })).toBe("");
    expect(runner({ options: { extraOptionsJson: '{"num_gpu":-7,"num_batch":512.0}' } })).toBe("");
    const others = '{"main_gpu":1,"num_batch":511,"num_ctx":512,"num_gpu":0,"num_thread":1,"use_mmap":false}';
    expect(runner({ options: { extraOptionsJson: others } })).toBe(others);
  });

  test("is another one without context shift", () => {
    expect(runner({ shift: false })).toBe('{"shift":false}');
  });

  test("is loaded by an empty prompt, or by no input", () => {
    expect(JSON.parse(loadBody("m", '{"num_ctx":64,"shift":false}', false))).toEqual({
      model: "m",
      prompt: "",
      stream: false,
      shift: false,
      options: { num_ctx: 64 },
    });
    expect(JSON.parse(loadBody("m", "", true))).toEqual({ model: "m", input: [] });
  });
});

describe("answers on their way from Ollama", () => {
  const origin = { node: "n", contextLength: 4096 };
  const logprobs =
    '"logprobs":[{"token":" a","logprob":-0.25,"bytes":[32,97],"top_logprobs":[{"token":"b","logprob":-1.5,"bytes":[98]}]}]';
  const metrics =
    '"done":true,"done_reason":"stop","total_duration":12345678901,"load_duration":1,"prompt_eval_count":26,"prompt_eval_duration":2000000000,"eval_count":290,"eval_duration":4709213000';

  test("a chunk of generate", () => {
    const chunk = toGenerateChunk(
      line(
        `{"model":"M","created_at":"2026-01-02T03:04:05.678901234Z","response":"hé","thinking":"hm","done":false,${logprobs}}`,
      ),
    );
    expect(chunk).toMatchObject({
      model: "M",
      createdAt: "2026-01-02T03:04:05.678901234Z",
      response: "hé",
      thinking: "hm",
      extraJson: "",
      logprobs: [{ token: " a", logprob: -0.25, topLogprobs: [{ token: "b", logprob: -1.5 }] }],
    });
    expect([...(chunk.logprobs[0]?.tokenBytes ?? [])]).toEqual([32, 97]);
    expect([...(chunk.logprobs[0]?.topLogprobs[0]?.tokenBytes ?? [])]).toEqual([98]);
  });

  test("the end of generate, with context and counts", () => {
    const done = toGenerateDone(line(`{"model":"M","response":"","context":[1,2,3],${metrics}}`), origin);
    expect(done).toMatchObject({
      context: [1, 2, 3],
      completion: {
        doneReason: "stop",
        totalDuration: { seconds: 12n, nanos: 345678901 },
        loadDuration: { seconds: 0n, nanos: 1 },
        promptEvalCount: 26,
        promptEvalDuration: { seconds: 2n, nanos: 0 },
        evalCount: 290,
        evalDuration: { seconds: 4n, nanos: 709213000 },
        node: "n",
        contextLength: 4096,
      },
    });
  });

  test("durations that Ollama leaves out stay absent", () => {
    const done = toGenerateDone(line('{"done":true}'), origin);
    expect(done.completion).toMatchObject({ doneReason: "", evalCount: 0 });
    expect(done.completion?.totalDuration).toBeUndefined();
  });

  test("a chunk of chat, with tool calls in the order of their arguments", () => {
    const chunk = toChatChunk(
      line(
        '{"model":"M","created_at":"t","message":{"role":"assistant","content":"c","thinking":"hm","images":["AAH+/w=="],"tool_name":"t","tool_call_id":"i",' +
          '"tool_calls":[{"id":"c1","function":{"index":2,"name":"f","arguments":{"z":1,"10":2,"2":{"y":"}"},"n":12345678901234567890}}}]},"done":false}',
      ),
    );
    expect(chunk.message).toMatchObject({
      role: "assistant",
      content: "c",
      thinking: "hm",
      toolName: "t",
      toolCallId: "i",
      toolCalls: [
        {
          id: "c1",
          function: { index: 2, name: "f", argumentsJson: '{"z":1,"10":2,"2":{"y":"}"},"n":12345678901234567890}' },
        },
      ],
    });
    expect([...(chunk.message?.images[0] ?? [])]).toEqual([...pixels]);
    expect(chunk.extraJson).toBe("");
  });

  test("tool calls of generate", () => {
    const chunk = toGenerateChunk(
      line('{"response":"","tool_calls":[{"function":{"name":"f","arguments":{"2":1,"1":2}}}],"done":false}'),
    );
    expect(chunk.toolCalls).toMatchObject([{ function: { name: "f", argumentsJson: '{"2":1,"1":2}' } }]);
  });

  test("the end of chat may carry content and tool calls of its own", () => {
    const done = toChatDone(
      line(
        `{"model":"M","message":{"role":"assistant","content":"last","tool_calls":[{"function":{"name":"f","arguments":{}}}]},${metrics}}`,
      ),
      origin,
    );
    expect(done.message).toMatchObject({
      content: "last",
      toolCalls: [{ function: { name: "f", argumentsJson: "{}" } }],
    });
    expect(done.completion).toMatchObject({ doneReason: "stop", evalCount: 290 });
  });

  test("what cloud models add, and the rendered prompt", () => {
    const done = toChatDone(
      line(
        '{"done":true,"remote_model":"gpt","remote_host":"https://ollama.com","_debug_info":{"rendered_template":"<|x|>","image_count":1}}',
      ),
      origin,
    );
    expect(done.completion).toMatchObject({ remoteModel: "gpt", remoteHost: "https://ollama.com" });
    expect(done.debugInfo).toMatchObject({ renderedTemplate: "<|x|>", imageCount: 1 });
  });

  test("fields that nobody knows yet ride along as they were written", () => {
    expect(toGenerateChunk(line('{"response":"a","new":{"2":1,"1":[1.0]},"done":false}')).extraJson).toBe(
      '{"new":{"2":1,"1":[1.0]}}',
    );
    expect(toGenerateDone(line('{"done":true,"new":12345678901234567890}'), origin).extraJson).toBe(
      '{"new":12345678901234567890}',
    );
    expect(toChatChunk(line('{"message":{"content":"a","mood":"🙂"},"new":1,"done":false}')).extraJson).toBe(
      '{"message":{"mood":"🙂"},"new":1}',
    );
    expect(toChatDone(line('{"message":{"content":""},"done":true,"new":null}'), origin).extraJson).toBe(
      '{"new":null}',
    );
    const text = '{"model":"m","embeddings":[],"new":1.50}';
    expect(toEmbedResponse(JSON.parse(text), text, "n").extraJson).toBe('{"new":1.50}');
  });

  test("vectors, in the order of the input", () => {
    const text =
      '{"model":"M","embeddings":[[0.5,-0.25],[1,0]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}';
    expect(toEmbedResponse(JSON.parse(text), text, "n")).toMatchObject({
      model: "M",
      node: "n",
      embeddings: [{ values: [0.5, -0.25] }, { values: [1, 0] }],
      totalDuration: { seconds: 0n, nanos: 14143917 },
      loadDuration: { nanos: 1019500 },
      promptEvalCount: 8,
      extraJson: "",
    });
  });

  test("numbers that no field can hold are cut, so that the answer can still be sent", () => {
    const done = toGenerateDone(
      line('{"done":true,"eval_count":1e300,"prompt_eval_count":2.5,"context":[1e12],"total_duration":-5}'),
      origin,
    );
    expect(() => toBinary(GenerateDoneSchema, done)).not.toThrow();
    expect(done.completion).toMatchObject({ evalCount: 0x7fff_ffff, promptEvalCount: 2 });
  });

  test("strange types are taken as not said, never as a crash", () => {
    const strange =
      '{"model":1,"message":[],"logprobs":{},"done":true,"done_reason":{},"total_duration":"x","context":"y"}';
    expect(toChatDone(line(strange), origin)).toMatchObject({ model: "", completion: { doneReason: "" } });
    expect(toGenerateDone(line(strange), origin)).toMatchObject({ response: "", context: [] });
  });
});

function refusalOf(write: () => string): DroverError {
  try {
    write();
  } catch (error) {
    if (error instanceof DroverError) return error;
    throw error;
  }
  throw new Error("it was written");
}
