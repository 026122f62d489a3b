/** `POST /api/generate`. */
import type { CompletionEvent } from "../completion.ts";
import { fieldReader, parseBody } from "../http/request-body.ts";
import type { Model } from "../model-catalog.ts";
import { errorTexts, modelNotFound, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { renderChat } from "../text/chat-template.ts";
import { logprobsOf } from "../text/logprobs.ts";
import { createThinkingFilter } from "../text/thinking-filter.ts";
import { tokenId, tokenize } from "../text/tokenizer.ts";
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

interface GenerateRequest extends InferenceRequest {
  readonly prompt: string;
  readonly suffix: string;
  readonly system: string;
  readonly template: string;
  readonly isRaw: boolean;
  readonly imageCount: number;
  readonly context: readonly unknown[];
}

type Head = Pick<AnswerLine, "model" | "created_at">;

interface GenerateLine extends AnswerLine {
  readonly response: string;
  readonly thinking?: string;
}

export async function generate(exchange: Exchange, simulation: Simulation): Promise<void> {
  const request = readGenerateRequest(exchange.body);
  const model = findModel(request.requested, simulation, modelNotFound(request.requested));
  const head = (): Head => ({ model: request.requested, created_at: createdAt(simulation) });
  const idle = (reason: string): object => ({ ...head(), response: "", done: true, done_reason: reason });
  if (request.prompt === "" && request.keepAliveMs === 0) {
    simulation.scheduler.expire(model);
    return exchange.reply.json(200, idle("unload"));
  }
  if (request.isRaw && (request.template !== "" || request.system !== "" || request.context.length > 0)) {
    throw new OllamaError(400, errorTexts.rawMisuse);
  }
  const think = resolveThink(model, request);
  requireCapabilities(model, request, "generate", request.suffix === "" ? [] : ["insert"]);
  const loaded = await loadModel(model, request, exchange, simulation);
  try {
    if (request.prompt === "") return exchange.reply.json(200, idle("load"));
    const prompt = renderPrompt(request, think, loaded);
    if (request.isRenderOnly) {
      const images = request.imageCount > 0 ? { image_count: request.imageCount } : {};
      return exchange.reply.json(200, {
        ...head(),
        response: "",
        done: false,
        _debug_info: { rendered_template: prompt, ...images },
      });
    }
    const lines = generateLines({ request, model, loaded, prompt, think: think ?? false, head }, exchange, simulation);
    await sendAnswer(lines, request.isStreaming, aggregate, exchange);
  } finally {
    loaded.lease.release();
  }
}

function readGenerateRequest(text: string): GenerateRequest {
  const body = parseBody(text, "GenerateRequest");
  const fields = fieldReader(body, "GenerateRequest");
  return {
    ...readInferenceRequest(body, fields),
    prompt: fields.text("prompt"),
    suffix: fields.text("suffix"),
    system: fields.text("system"),
    template: fields.text("template"),
    isRaw: fields.flag("raw") ?? false,
    imageCount: fields.list("images", "[]api.ImageData").length,
    context: fields.list("context", "[]int"),
  };
}

function renderPrompt(request: GenerateRequest, think: boolean | undefined, loaded: LoadedRequest): string {
  if (request.isRaw) return request.prompt;
  // Tokens of an earlier answer cannot be turned back into its text here; they still count and change the answer.
  const earlier = request.context.map((id) => `<t${String(id)}>`).join("");
  if (request.suffix !== "") return `${earlier}<fim_prefix>${request.prompt}<fim_suffix>${request.suffix}<fim_middle>`;
  if (request.template !== "") return earlier + fillTemplate(request);
  const system = { role: "system", content: request.system, imageCount: 0, toolCalls: [], thinking: "" };
  const user = { role: "user", content: request.prompt, imageCount: request.imageCount, toolCalls: [], thinking: "" };
  const { text } = renderChat({
    messages: request.system === "" ? [user] : [system, user],
    tools: [],
    think,
    isTruncating: request.isTruncating,
    contextTokens: loaded.lease.runner.contextLength,
    countTokens: (part) => tokenize(part).length,
  });
  return earlier + text;
}

/** The two fields that templates are made of mostly; Go's template language is not simulated. */
function fillTemplate({ template, prompt, system }: GenerateRequest): string {
  return template
    .replace(/\{\{-?\s*\.Prompt\s*-?\}\}/g, () => prompt)
    .replace(/\{\{-?\s*\.System\s*-?\}\}/g, () => system)
    .replace(/\{\{-?[^}]*\}\}/g, "");
}

interface GenerateTask {
  readonly request: GenerateRequest;
  readonly model: Model;
  readonly loaded: LoadedRequest;
  readonly prompt: string;
  readonly think: boolean;
  readonly head: () => Head;
}

async function* generateLines(
  task: GenerateTask,
  exchange: Exchange,
  simulation: Simulation,
): AsyncGenerator<GenerateLine> {
  const { request } = task;
  const events = complete({ ...task, script: undefined }, exchange, simulation);
  const thinkingFilter = createThinkingFilter(task.think);
  const mayPass = createRepeatGuard();
  let answer = "";
  for await (const event of events) {
    if (event.kind === "done") {
      yield doneLine(task, event, answer, simulation.clock.nowMs() - exchange.arrivedAtMs);
      continue;
    }
    if (!mayPass(event.text)) return;
    answer += event.text;
    const { thinking, content } = thinkingFilter.push(event.text);
    if (task.think && thinking === "" && content === "") continue;
    yield {
      ...task.head(),
      response: content,
      ...(thinking === "" ? {} : { thinking }),
      done: false,
      ...(request.hasLogprobs ? { logprobs: logprobsOf(event.text, request.topLogprobs) } : {}),
    };
  }
}

function doneLine(
  task: GenerateTask,
  event: Extract<CompletionEvent, { kind: "done" }>,
  answer: string,
  totalMs: number,
): GenerateLine {
  const { reason, metrics } = finalFields(event.reason, event.metrics, totalMs, task.loaded.loadMs);
  const context = task.request.isRaw ? {} : { context: tokenize(task.prompt + answer).map(tokenId) };
  return { ...task.head(), response: "", done: true, done_reason: reason, ...context, ...metrics };
}

function aggregate(lines: readonly GenerateLine[]): object {
  const last = lines.at(-1) ?? { ...NO_LINE, response: "" };
  const thinking = lines.map((line) => line.thinking ?? "").join("");
  const logprobs = lines.flatMap((line) => line.logprobs ?? []);
  return {
    ...last,
    response: lines.map((line) => line.response).join(""),
    ...(thinking === "" ? {} : { thinking }),
    ...(logprobs.length === 0 ? {} : { logprobs }),
  };
}
