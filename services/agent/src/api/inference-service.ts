/** InferenceService on the local Ollama: what each method asks and how it words the answer. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type ChatRequest,
  type ChatResponse,
  ChatResponseSchema,
  type GenerateRequest,
  type GenerateResponse,
  GenerateResponseSchema,
  type InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { type OllamaOptions, ollamaOptions } from "../ollama/ollama-options.ts";
import { toChatChunk, toChatDone, toGenerateChunk, toGenerateDone } from "../ollama/ollama-to-response.ts";
import { type BodyChoices, chatBody, generateBody, isZero, runnerOptionsOf } from "../ollama/request-to-ollama.ts";
import { embedCall } from "./embed-call.ts";
import type { InferenceDeps } from "./inference-call.ts";
import { type Capability, capabilitiesForChat, capabilitiesForGenerate } from "./required-capabilities.ts";
import { type StreamMethod, type StreamPlan, streamCall } from "./streaming-call.ts";

export function createInferenceService(deps: InferenceDeps): ServiceImpl<typeof InferenceService> {
  return {
    generate: (request, context) => streamCall(deps, context, generateMethod(request, deps)),
    chat: (request, context) => streamCall(deps, context, chatMethod(request, deps)),
    embed: (request, context) => embedCall(deps, context, request),
  };
}

export function generateMethod(
  request: GenerateRequest,
  deps: Pick<InferenceDeps, "numCtx">,
): StreamMethod<GenerateResponse> {
  return {
    subject: { method: "Generate", model: request.model },
    plan: () => {
      const write = (choices: BodyChoices): string => generateBody(request, choices);
      return makePlan({ path: "/api/generate", request, deps, capabilities: capabilitiesForGenerate(request), write });
    },
    progress: (value) => create(GenerateResponseSchema, { event: { case: "progress", value } }),
    chunk: (line) => create(GenerateResponseSchema, { event: { case: "chunk", value: toGenerateChunk(line) } }),
    done: (line, origin) =>
      create(GenerateResponseSchema, { event: { case: "done", value: toGenerateDone(line, origin) } }),
  };
}

function chatMethod(request: ChatRequest, deps: InferenceDeps): StreamMethod<ChatResponse> {
  return {
    subject: { method: "Chat", model: request.model },
    plan: () => {
      const write = (choices: BodyChoices): string => chatBody(request, choices);
      return makePlan({ path: "/api/chat", request, deps, capabilities: capabilitiesForChat(request), write });
    },
    progress: (value) => create(ChatResponseSchema, { event: { case: "progress", value } }),
    chunk: (line) => create(ChatResponseSchema, { event: { case: "chunk", value: toChatChunk(line) } }),
    done: (line, origin) => create(ChatResponseSchema, { event: { case: "done", value: toChatDone(line, origin) } }),
  };
}

interface PlanParts {
  readonly path: StreamPlan["path"];
  readonly request: GenerateRequest | ChatRequest;
  readonly deps: Pick<InferenceDeps, "numCtx">;
  readonly capabilities: readonly Capability[];
  readonly write: (choices: BodyChoices) => string;
}

/** The body is written before anything waits, so that a wrong request is refused at once. */
function makePlan({ path, request, deps, capabilities, write }: PlanParts): StreamPlan {
  const options: OllamaOptions = ollamaOptions(request.options, deps.numCtx);
  const wholeBody = write({ options, keepAlive: request.keepAlive });
  const bodyBytes = Buffer.byteLength(wholeBody);
  return {
    path,
    capabilities,
    bodyBytes,
    promptBytes: hasImages(request) ? undefined : bodyBytes,
    runnerOptionsJson: runnerOptionsOf(options, request),
    isUnloadWanted: isZero(request.keepAlive),
    body: (isKeepAliveTold) => (isKeepAliveTold ? wholeBody : write({ options, keepAlive: undefined })),
  };
}

/** Images are longer in a body than in a prompt. */
function hasImages(request: GenerateRequest | ChatRequest): boolean {
  if (request.$typeName === "drover.inference.v1.GenerateRequest") return request.images.length > 0;
  return request.messages.some((message) => message.images.length > 0);
}
