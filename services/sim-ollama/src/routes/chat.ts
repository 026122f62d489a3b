/** `POST /api/chat`. */
import type { CompletionEvent } from "../completion.ts";
import { fieldReader, isObject, parseBody } from "../http/request-body.ts";
import type { Model } from "../model-catalog.ts";
import { errorTexts, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { type ChatMessage, renderChat } from "../text/chat-template.ts";
import { logprobsOf } from "../text/logprobs.ts";
import { createThinkingFilter } from "../text/thinking-filter.ts";
import { tokenize } from "../text/tokenizer.ts";
import { createToolCallParser, mentionedTool, type Tool, type ToolCall, writeToolCall } from "../text/tool-calls.ts";
import { type AnswerLine, createdAt, createRepeatGuard, finalFields, NO_LINE, sendAnswer } from "./answer-stream.ts";
import type { InferenceRequest, LoadedRequest } from "./inference.ts";
import {
  complete,
  findModel,
  loadModel,
  readInferenceRequest,
  requireCapabilities,
  resolveThink,
} from "./inference.ts";

interface ChatRequest extends InferenceRequest {
  readonly messages: readonly ChatMessage[];
  readonly rawTools: readonly unknown[];
  readonly tools: readonly Tool[];
}

type Head = Pick<AnswerLine, "model" | "created_at">;

interface ChatLine extends AnswerLine {
  readonly message: {
    readonly role: string;
    readonly content: string;
    readonly thinking?: string;
    readonly tool_calls?: readonly unknown[];
  };
}

interface ChatTask {
  readonly request: ChatRequest;
  readonly model: Model;
  readonly loaded: LoadedRequest;
  readonly prompt: string;
  readonly think: boolean;
  readonly head: () => Head;
}

export async function chat(exchange: Exchange, simulation: Simulation): Promise<void> {
  const request = readChatRequest(exchange.body);
  const model = findModel(request.requested, simulation, new OllamaError(400, errorTexts.modelRequired));
  const head = (): Head => ({ model: request.requested, created_at: createdAt(simulation) });
  const idle = (rest: object): object => ({ ...head(), message: { role: "assistant", content: "" }, ...rest });
  if (request.messages.length === 0 && request.keepAliveMs === 0) {
    simulation.scheduler.expire(model);
    return exchange.reply.json(200, idle({ done: true, done_reason: "unload" }));
  }
  const think = resolveThink(model, request);
  requireCapabilities(model, request, "chat", request.tools.length === 0 ? [] : ["tools"]);
  const loaded = await loadModel(model, request, exchange, simulation);
  try {
    if (request.messages.length === 0) return exchange.reply.json(200, idle({ done: true, done_reason: "load" }));
    const { text: prompt, imageCount } = renderChat({
      messages: request.messages,
      tools: request.rawTools,
      think,
      isTruncating: request.isTruncating,
      contextTokens: loaded.lease.runner.contextLength,
      countTokens: (part) => tokenize(part).length,
    });
    if (request.isRenderOnly) {
      const images = imageCount > 0 ? { image_count: imageCount } : {};
      const message = { role: "", content: "" };
      return exchange.reply.json(
        200,
        idle({ message, done: false, _debug_info: { rendered_template: prompt, ...images } }),
      );
    }
    const lines = chatLines({ request, model, loaded, prompt, think: think ?? false, head }, exchange, simulation);
    await sendAnswer(lines, request.isStreaming, aggregate, exchange);
  } finally {
    loaded.lease.release();
  }
}

function readChatRequest(text: string): ChatRequest {
  const body = parseBody(text, "ChatRequest");
  const fields = fieldReader(body, "ChatRequest");
  const rawTools = fields.list("tools", "api.Tools");
  return {
    ...readInferenceRequest(body, fields),
    messages: fields.list("messages", "[]api.Message").map(readMessage),
    rawTools,
    tools: rawTools.map(readTool),
  };
}

function readMessage(value: unknown): ChatMessage {
  const fields = fieldReader(isObject(value) ? value : {}, "Message");
  return {
    role: fields.text("role").toLowerCase(),
    content: fields.text("content"),
    thinking: fields.text("thinking"),
    imageCount: fields.list("images", "[]api.ImageData").length,
    toolCalls: fields.list("tool_calls", "[]api.ToolCall"),
  };
}

function readTool(value: unknown): Tool {
  const tool = fieldReader(isObject(value) ? value : {}, "Tool").object("function");
  const fields = fieldReader(tool, "ToolFunction");
  return { name: fields.text("name"), parameters: fields.object("parameters") };
}

async function* chatLines(task: ChatTask, exchange: Exchange, simulation: Simulation): AsyncGenerator<ChatLine> {
  const { request } = task;
  const events = complete({ ...task, script: scriptOf(task) }, exchange, simulation);
  const thinkingFilter = createThinkingFilter(task.think);
  const toolParser = createToolCallParser(request.tools);
  const mayPass = createRepeatGuard();
  for await (const event of events) {
    if (event.kind === "done") {
      yield doneLine(task, event, toolParser.flush(), simulation.clock.nowMs() - exchange.arrivedAtMs);
      continue;
    }
    if (!mayPass(event.text)) return;
    const { thinking, content } = thinkingFilter.push(event.text);
    if (task.think && thinking === "" && content === "") continue;
    const { text, call } = toolParser.push(content);
    if (text === "" && call === undefined && thinking === "") continue;
    const calls = call === undefined ? {} : { tool_calls: [toolCallAnswer(call, simulation)] };
    yield {
      ...task.head(),
      message: { role: "assistant", content: text, ...(thinking === "" ? {} : { thinking }), ...calls },
      done: false,
      ...(request.hasLogprobs ? { logprobs: logprobsOf(event.text, request.topLogprobs) } : {}),
    };
  }
}

/** A simulated model calls the tool that the last user message names. */
function scriptOf({ request, prompt }: ChatTask): string | undefined {
  const last = request.messages.at(-1);
  if (last?.role !== "user" || request.format !== undefined) return undefined;
  const tool = mentionedTool(request.tools, last.content);
  return tool && writeToolCall(tool, prompt);
}

function toolCallAnswer(call: ToolCall, simulation: Simulation): object {
  const id = Array.from({ length: 8 }, () => Math.floor(simulation.rng.next() * 36).toString(36)).join("");
  return { id: `call_${id}`, function: { index: 0, name: call.name, arguments: call.arguments } };
}

function doneLine(
  task: ChatTask,
  event: Extract<CompletionEvent, { kind: "done" }>,
  heldBack: string,
  totalMs: number,
): ChatLine {
  const { reason, metrics } = finalFields(event.reason, event.metrics, totalMs, task.loaded.loadMs);
  const message = { role: "assistant", content: heldBack };
  return { ...task.head(), message, done: true, done_reason: reason, ...metrics };
}

function aggregate(lines: readonly ChatLine[]): object {
  const last: ChatLine = lines.at(-1) ?? { ...NO_LINE, message: { role: "", content: "" } };
  const thinking = lines.map((line) => line.message.thinking ?? "").join("");
  const calls = lines.flatMap((line) => line.message.tool_calls ?? []);
  const logprobs = lines.flatMap((line) => line.logprobs ?? []);
  const message = {
    role: last.message.role,
    content: lines.map((line) => line.message.content).join(""),
    ...(thinking === "" ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return { ...last, message, ...(logprobs.length === 0 ? {} : { logprobs }) };
}
