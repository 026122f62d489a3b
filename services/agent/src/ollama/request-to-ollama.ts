/**
 * Requests of the inference service as bodies of /api/generate, /api/chat and /api/embed. Every field arrives, JSON text is
 * spliced in as it was written, and absent fields stay absent, because Ollama tells absent from zero.
 */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { DroverError } from "@drover/platform";
import type {
  ChatRequest,
  EmbedRequest,
  Format,
  GenerateRequest,
  Message,
  Think,
  Tool,
  ToolCall,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { JsonObjectWriter, objectMembers } from "./json-text.ts";
import { checkJson, extraMembers, type OllamaOptions, runnerOptionsJson } from "./ollama-options.ts";

/** Ollama keeps durations in 64 bits of nanoseconds, 292 years; this is for ever to anyone. */
const LONGEST_KEEP_ALIVE_SECONDS = 3_000_000_000;

/** Ollama's names of the fields that both streaming requests have of their own, and of what is the agent's to set. */
const STREAMING_KEYS = [
  ...["model", "format", "think", "options", "keep_alive", "truncate", "shift", "stream"],
  ...["logprobs", "top_logprobs", "_debug_render_only"],
];
const GENERATE_KEYS: ReadonlySet<string> = new Set([
  ...STREAMING_KEYS,
  ...["prompt", "suffix", "system", "template", "raw", "images", "context"],
]);
const CHAT_KEYS: ReadonlySet<string> = new Set([...STREAMING_KEYS, "messages", "tools"]);
const EMBED_KEYS: ReadonlySet<string> = new Set(["model", "input", "truncate", "dimensions", "options", "keep_alive"]);

/** What is the agent's to decide in a request. */
export interface BodyChoices {
  /** The caller's options with the agent's defaults, see `ollamaOptions`. */
  readonly options: OllamaOptions;
  /** The caller's wish, or undefined where it must not have its way: others use the runner too. */
  readonly keepAlive: Duration | undefined;
}

export function generateBody(request: GenerateRequest, choices: BodyChoices): string {
  const body = startBody(request, GENERATE_KEYS);
  body.set("prompt", request.prompt);
  body.set("suffix", present(request.suffix));
  body.set("system", present(request.system));
  body.set("template", present(request.template));
  body.set("raw", request.raw || undefined);
  body.set("images", base64(request.images));
  body.set("context", request.context.length > 0 ? request.context : undefined);
  addShared(body, request, choices);
  return body.toString();
}

export function chatBody(request: ChatRequest, choices: BodyChoices): string {
  const body = startBody(request, CHAT_KEYS);
  body.setText("messages", `[${request.messages.map(messageText).join(",")}]`);
  if (request.tools.length > 0) body.setText("tools", `[${request.tools.map(toolText).join(",")}]`);
  addShared(body, request, choices);
  return body.toString();
}

export function embedBody(request: EmbedRequest, choices: BodyChoices): string {
  const body = startBody(request, EMBED_KEYS);
  body.set("input", request.input);
  body.set("truncate", request.truncate);
  body.set("dimensions", request.dimensions);
  addChoices(body, choices);
  return body.toString();
}

/** The body that loads a runner and makes it answer nothing: an empty prompt, or no input for a model that embeds. */
export function loadBody(model: string, runnerOptionsText: string, isEmbedding: boolean): string {
  const body = new JsonObjectWriter().set("model", model);
  if (isEmbedding) body.set("input", []);
  else body.set("prompt", "").set("stream", false);
  const options = new JsonObjectWriter();
  for (const { key, text } of objectMembers(runnerOptionsText) ?? []) {
    // Beside the options in Ollama's request, one of them in a runner's identity.
    if (key === "shift") body.setText(key, text);
    else options.setText(key, text);
  }
  if (!options.isEmpty) body.setText("options", options.toString());
  return body.toString();
}

/** The runner that a request needs, as the text of its load-time options. */
export function runnerOptionsOf(options: OllamaOptions, request: GenerateRequest | ChatRequest | EmbedRequest): string {
  return runnerOptionsJson(options, "shift" in request ? request.shift : undefined);
}

/** Throws when a further field would go round one of `ownKeys`, by which queue, runner and keep_alive are decided. */
function startBody(request: { model: string; extraJson: string }, ownKeys: ReadonlySet<string>): JsonObjectWriter {
  const body = new JsonObjectWriter();
  for (const { key, text } of extraMembers(request.extraJson, "extra_json")) {
    const folded = foldCase(key);
    if (ownKeys.has(folded)) throw notFurther(folded);
    body.setText(key, text);
  }
  return body.set("model", request.model);
}

/** Ollama finds fields without regard to case (encoding/json of Go). By way of upper case, for the long s. */
function foldCase(key: string): string {
  return key.toUpperCase().toLowerCase();
}

function notFurther(key: string): DroverError {
  const message = `The field extra_json must not hold "${key}": the request has its own place for it, or the agent sets it.`;
  return new DroverError("malformed_request", message, { facts: { field: `extra_json.${key}` } });
}

interface SharedFields {
  readonly format?: Format | undefined;
  readonly think?: Think | undefined;
  readonly truncate?: boolean | undefined;
  readonly shift?: boolean | undefined;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
  readonly debugRenderOnly: boolean;
}

function addShared(body: JsonObjectWriter, request: SharedFields, choices: BodyChoices): void {
  body.setText("format", formatText(request.format));
  body.set("think", thinkValue(request.think));
  body.set("truncate", request.truncate);
  body.set("shift", request.shift);
  body.set("logprobs", request.logprobs || undefined);
  body.set("top_logprobs", request.topLogprobs === 0 ? undefined : request.topLogprobs);
  body.set("_debug_render_only", request.debugRenderOnly || undefined);
  addChoices(body, choices);
  body.set("stream", true);
}

function addChoices(body: JsonObjectWriter, choices: BodyChoices): void {
  const options = new JsonObjectWriter();
  for (const [key, text] of choices.options) options.setText(key, text);
  if (!options.isEmpty) body.setText("options", options.toString());
  body.set("keep_alive", keepAliveSeconds(choices.keepAlive));
}

/** A number is seconds to Ollama, with a fraction; below zero is for ever. */
function keepAliveSeconds(keepAlive: Duration | undefined): number | undefined {
  if (keepAlive === undefined) return undefined;
  const seconds = Number(keepAlive.seconds) + keepAlive.nanos / 1e9;
  return seconds < 0 ? -1 : Math.min(seconds, LONGEST_KEEP_ALIVE_SECONDS);
}

/** A keep_alive of zero asks Ollama to unload the model after the call. */
export function isZero(keepAlive: Duration | undefined): boolean {
  return keepAlive !== undefined && keepAliveSeconds(keepAlive) === 0;
}

function formatText(format: Format | undefined): string | undefined {
  const kind = format?.kind;
  if (kind === undefined) return undefined;
  switch (kind.case) {
    case "json":
      return kind.value ? '"json"' : undefined;
    case "jsonSchema":
      return checked(kind.value, "format.json_schema");
    case undefined:
      return undefined;
  }
}

function thinkValue(think: Think | undefined): boolean | string | undefined {
  return think?.kind.case === undefined ? undefined : think.kind.value;
}

function messageText(message: Message, index: number): string {
  const writer = new JsonObjectWriter().set("role", message.role).set("content", message.content);
  writer.set("thinking", present(message.thinking));
  writer.set("images", base64(message.images));
  if (message.toolCalls.length > 0) {
    const calls = message.toolCalls.map((call, at) => toolCallText(call, `messages[${index}].tool_calls[${at}]`));
    writer.setText("tool_calls", `[${calls.join(",")}]`);
  }
  writer.set("tool_name", present(message.toolName));
  writer.set("tool_call_id", present(message.toolCallId));
  return writer.toString();
}

function toolCallText(call: ToolCall, field: string): string {
  const name = call.function?.name ?? "";
  const index = call.function?.index ?? 0;
  const argumentsJson = call.function?.argumentsJson ?? "";
  const inner = new JsonObjectWriter().set("index", index === 0 ? undefined : index).set("name", name);
  inner.setText(
    "arguments",
    argumentsJson.trim() === "" ? "{}" : checked(argumentsJson, `${field}.function.arguments_json`),
  );
  return new JsonObjectWriter().set("id", present(call.id)).setText("function", inner.toString()).toString();
}

function toolText(tool: Tool, index: number): string {
  const field = `tools[${index}]`;
  const inner = new JsonObjectWriter().set("name", tool.function?.name ?? "");
  inner.set("description", present(tool.function?.description ?? ""));
  inner.setText("parameters", optionalJson(tool.function?.parametersJson ?? "", `${field}.function.parameters_json`));
  const writer = new JsonObjectWriter().set("type", tool.type === "" ? "function" : tool.type);
  writer.setText("items", optionalJson(tool.itemsJson, `${field}.items_json`));
  return writer.setText("function", inner.toString()).toString();
}

function optionalJson(text: string, field: string): string | undefined {
  return text.trim() === "" ? undefined : checked(text, field);
}

/** The text of a caller's JSON as it was written; throws with the field's name when it is none. */
function checked(text: string, field: string): string {
  checkJson(text, field);
  return text.trim();
}

function base64(images: readonly Uint8Array[]): string[] | undefined {
  if (images.length === 0) return undefined;
  return images.map((image) => Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString("base64"));
}

function present(text: string): string | undefined {
  return text === "" ? undefined : text;
}
