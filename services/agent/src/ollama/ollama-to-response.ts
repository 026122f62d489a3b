/**
 * Lines and answers of Ollama as messages of the inference service. Every field has its place; what has none rides along
 * in `extra_json` as it was written.
 */
import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import {
  type ChatChunk,
  ChatChunkSchema,
  type ChatDone,
  ChatDoneSchema,
  type Completion,
  CompletionSchema,
  type DebugInfo,
  DebugInfoSchema,
  EmbeddingSchema,
  type EmbedResponse,
  EmbedResponseSchema,
  type GenerateChunk,
  GenerateChunkSchema,
  type GenerateDone,
  GenerateDoneSchema,
  type Logprob,
  LogprobSchema,
  type Message,
  MessageSchema,
  type ToolCall,
  ToolCallFunctionSchema,
  ToolCallSchema,
  type TopLogprob,
  TopLogprobSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { arrayElements, JsonObjectWriter, memberText, objectMembers } from "./json-text.ts";
import { asArray, asCount, asInt32, asNumber, asObject, asText, type JsonObject } from "./json-values.ts";
import type { OllamaLine } from "./ollama-line.ts";

/** What the agent adds to Ollama's words. */
export interface Origin {
  readonly node: string;
  /** 0 when not known. */
  readonly contextLength: number;
}

const COMPLETION_KEYS = [
  "done",
  "done_reason",
  "total_duration",
  "load_duration",
  "prompt_eval_count",
  "prompt_eval_duration",
  "eval_count",
  "eval_duration",
  "remote_model",
  "remote_host",
  "_debug_info",
];
const SHARED_KEYS = ["model", "created_at", "logprobs", "done"];
const GENERATE_CHUNK_KEYS = new Set([...SHARED_KEYS, "response", "thinking", "tool_calls"]);
const GENERATE_DONE_KEYS = new Set([...GENERATE_CHUNK_KEYS, ...COMPLETION_KEYS, "context"]);
const CHAT_CHUNK_KEYS = new Set([...SHARED_KEYS, "message"]);
const CHAT_DONE_KEYS = new Set([...CHAT_CHUNK_KEYS, ...COMPLETION_KEYS]);
const MESSAGE_KEYS = new Set(["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"]);
const EMBED_KEYS = new Set(["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]);

export function toGenerateChunk(line: OllamaLine): GenerateChunk {
  const { object, text } = line;
  return create(GenerateChunkSchema, {
    ...generateFields(object, text),
    extraJson: extraOf(object, text, GENERATE_CHUNK_KEYS),
  });
}

export function toGenerateDone(line: OllamaLine, origin: Origin): GenerateDone {
  const { object, text } = line;
  const done = create(GenerateDoneSchema, {
    ...generateFields(object, text),
    completion: toCompletion(object, origin),
    context: asArray(object["context"]).map(asInt32),
    extraJson: extraOf(object, text, GENERATE_DONE_KEYS),
  });
  const debugInfo = toDebugInfo(object["_debug_info"]);
  if (debugInfo !== undefined) done.debugInfo = debugInfo;
  return done;
}

export function toChatChunk(line: OllamaLine): ChatChunk {
  const { object, text } = line;
  return create(ChatChunkSchema, { ...chatFields(object, text), extraJson: extraOf(object, text, CHAT_CHUNK_KEYS) });
}

export function toChatDone(line: OllamaLine, origin: Origin): ChatDone {
  const { object, text } = line;
  const done = create(ChatDoneSchema, {
    ...chatFields(object, text),
    completion: toCompletion(object, origin),
    extraJson: extraOf(object, text, CHAT_DONE_KEYS),
  });
  const debugInfo = toDebugInfo(object["_debug_info"]);
  if (debugInfo !== undefined) done.debugInfo = debugInfo;
  return done;
}

/** `text` is the whole answer to /api/embed, already known to be the JSON of `object`. */
export function toEmbedResponse(object: JsonObject, text: string, node: string): EmbedResponse {
  return create(EmbedResponseSchema, {
    model: asText(object["model"]),
    embeddings: asArray(object["embeddings"]).map((values) =>
      create(EmbeddingSchema, { values: asArray(values).map(asNumber) }),
    ),
    ...durations(object, ["total_duration", "load_duration"]),
    promptEvalCount: asInt32(object["prompt_eval_count"]),
    node,
    extraJson: writeExtra(object, text, EMBED_KEYS),
  });
}

function generateFields(object: JsonObject, text: string) {
  return {
    model: asText(object["model"]),
    createdAt: asText(object["created_at"]),
    response: asText(object["response"]),
    thinking: asText(object["thinking"]),
    toolCalls: toToolCalls(object, text),
    logprobs: asArray(object["logprobs"]).map(toLogprob),
  };
}

function chatFields(object: JsonObject, text: string) {
  const fields = {
    model: asText(object["model"]),
    createdAt: asText(object["created_at"]),
    logprobs: asArray(object["logprobs"]).map(toLogprob),
  };
  const message = asObject(object["message"]);
  return message === undefined ? fields : { ...fields, message: toMessage(message, text) };
}

function toMessage(object: JsonObject, lineText: string): Message {
  const toolCalls =
    object["tool_calls"] === undefined ? [] : toToolCalls(object, memberText(lineText, "message") ?? "{}");
  return create(MessageSchema, {
    role: asText(object["role"]),
    content: asText(object["content"]),
    thinking: asText(object["thinking"]),
    images: asArray(object["images"]).map((image) => Buffer.from(asText(image), "base64")),
    toolCalls,
    toolName: asText(object["tool_name"]),
    toolCallId: asText(object["tool_call_id"]),
  });
}

/** Arguments are taken from the text of the owner, because JSON.parse moves integer-like keys to the front. */
function toToolCalls(owner: JsonObject, ownerText: string): ToolCall[] {
  const calls = asArray(owner["tool_calls"]);
  if (calls.length === 0) return [];
  const texts = arrayElements(memberText(ownerText, "tool_calls") ?? "[]") ?? [];
  return calls.map((call, index) => {
    const object = asObject(call) ?? {};
    const inner = asObject(object["function"]) ?? {};
    const innerText = memberText(texts[index] ?? "{}", "function") ?? "{}";
    return create(ToolCallSchema, {
      id: asText(object["id"]),
      function: create(ToolCallFunctionSchema, {
        index: asInt32(inner["index"]),
        name: asText(inner["name"]),
        argumentsJson: memberText(innerText, "arguments") ?? "",
      }),
    });
  });
}

function toCompletion(object: JsonObject, origin: Origin): Completion {
  return create(CompletionSchema, {
    doneReason: asText(object["done_reason"]),
    ...durations(object, ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]),
    promptEvalCount: asInt32(object["prompt_eval_count"]),
    evalCount: asInt32(object["eval_count"]),
    node: origin.node,
    contextLength: origin.contextLength,
    remoteModel: asText(object["remote_model"]),
    remoteHost: asText(object["remote_host"]),
  });
}

const DURATION_FIELDS = {
  total_duration: "totalDuration",
  load_duration: "loadDuration",
  prompt_eval_duration: "promptEvalDuration",
  eval_duration: "evalDuration",
} as const;

type DurationKey = keyof typeof DURATION_FIELDS;
type DurationField = (typeof DURATION_FIELDS)[DurationKey];

/** Ollama leaves a duration out when it is 0, and so do we. */
function durations(object: JsonObject, keys: readonly DurationKey[]): Partial<Record<DurationField, Duration>> {
  const fields: Partial<Record<DurationField, Duration>> = {};
  for (const key of keys) {
    const nanoseconds = asCount(object[key]);
    if (nanoseconds !== 0) fields[DURATION_FIELDS[key]] = toDuration(nanoseconds);
  }
  return fields;
}

function toDuration(nanoseconds: number): Duration {
  const seconds = Math.trunc(nanoseconds / 1e9);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: nanoseconds - seconds * 1e9 });
}

function toLogprob(value: unknown): Logprob {
  const object = asObject(value) ?? {};
  return create(LogprobSchema, {
    ...logprobFields(object),
    topLogprobs: asArray(object["top_logprobs"]).map(toTopLogprob),
  });
}

function toTopLogprob(value: unknown): TopLogprob {
  return create(TopLogprobSchema, logprobFields(asObject(value) ?? {}));
}

function logprobFields(object: JsonObject) {
  return {
    token: asText(object["token"]),
    logprob: asNumber(object["logprob"]),
    tokenBytes: Uint8Array.from(asArray(object["bytes"]).map(asNumber)),
  };
}

function toDebugInfo(value: unknown): DebugInfo | undefined {
  const object = asObject(value);
  if (object === undefined) return undefined;
  return create(DebugInfoSchema, {
    renderedTemplate: asText(object["rendered_template"]),
    imageCount: asInt32(object["image_count"]),
  });
}

/** As `writeExtra`, with the unknown fields of `message` in a `message` of its own. Most lines have none of either. */
function extraOf(object: JsonObject, text: string, known: ReadonlySet<string>): string {
  const message = known.has("message") ? asObject(object["message"]) : undefined;
  const messageExtra =
    message === undefined ? "" : writeExtra(message, () => memberText(text, "message") ?? "{}", MESSAGE_KEYS);
  const extra = writeExtra(object, text, known);
  if (messageExtra === "") return extra;
  const writer = new JsonObjectWriter().setText("message", messageExtra);
  for (const { key, text: value } of objectMembers(extra) ?? []) writer.setText(key, value);
  return writer.toString();
}

/** The members that are not `known`, as the text of an object; empty when there are none. */
function writeExtra(object: JsonObject, text: string | (() => string), known: ReadonlySet<string>): string {
  if (!Object.keys(object).some((key) => !known.has(key))) return "";
  const writer = new JsonObjectWriter();
  for (const member of objectMembers(typeof text === "string" ? text : text()) ?? []) {
    if (!known.has(member.key)) writer.setText(member.key, member.text);
  }
  return writer.toString();
}
