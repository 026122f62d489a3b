/**
 * A router of a test's own in this process: the contract's services over connect's in-memory transport, and what they were asked.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Code,
  ConnectError,
  createRouterTransport,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import {
  type ChatRequest,
  ChatResponseSchema,
  type EmbedRequest,
  type EmbedResponseSchema,
  type GenerateRequest,
  GenerateResponseSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { ErrorInfoSchema, RetryInfoSchema } from "@drover/proto/google/rpc/error_details_pb";

type Answer<Response> = AsyncIterable<Response> | Iterable<Response>;
type ChatEvent = NonNullable<MessageInitShape<typeof ChatResponseSchema>["event"]>;
type GenerateEvent = NonNullable<MessageInitShape<typeof GenerateResponseSchema>["event"]>;

export interface InMemoryAnswers {
  readonly chat?: (request: ChatRequest, context: HandlerContext) => Answer<ChatEvent>;
  readonly generate?: (request: GenerateRequest, context: HandlerContext) => Answer<GenerateEvent>;
  readonly embed?: (request: EmbedRequest, context: HandlerContext) => MessageInitShape<typeof EmbedResponseSchema>;
}

export interface InMemoryRouter {
  readonly transport: Transport;
  /** Of each call, in their order. */
  readonly requests: (ChatRequest | GenerateRequest | EmbedRequest)[];
  readonly headers: Headers[];
}

export function inMemoryRouter(answers: InMemoryAnswers): InMemoryRouter {
  const requests: InMemoryRouter["requests"] = [];
  const headers: Headers[] = [];
  const note = (request: ChatRequest | GenerateRequest | EmbedRequest, context: HandlerContext): void => {
    requests.push(request);
    headers.push(context.requestHeader);
    context.responseHeader.set("drover-call", "call-1");
  };
  const transport = createRouterTransport(({ service }) => {
    service(InferenceService, {
      async *chat(request, context) {
        note(request, context);
        for await (const event of answers.chat?.(request, context) ?? []) yield create(ChatResponseSchema, { event });
      },
      async *generate(request, context) {
        note(request, context);
        for await (const event of answers.generate?.(request, context) ?? [])
          yield create(GenerateResponseSchema, { event });
      },
      embed(request, context) {
        note(request, context);
        return answers.embed?.(request, context) ?? {};
      },
    });
  });
  return { transport, requests, headers };
}

export function say(content: string): ChatEvent {
  return { case: "chunk", value: { message: { role: "assistant", content } } };
}

export function done(doneReason = "stop", content = ""): ChatEvent {
  return { case: "done", value: { message: { role: "assistant", content }, completion: { doneReason, evalCount: 3 } } };
}

/** An error as a router sends it. */
export function routerError(
  code: Code,
  reason: string,
  more: { facts?: Record<string, string>; retryMs?: number; trailers?: Record<string, string>; domain?: string } = {},
): ConnectError {
  const { facts = {}, retryMs, trailers = {}, domain = "drover" } = more;
  const error = new ConnectError(`${reason} it is`, code, trailers);
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain, metadata: facts } });
  if (retryMs !== undefined) {
    const retryDelay = { seconds: BigInt(Math.floor(retryMs / 1_000)), nanos: (retryMs % 1_000) * 1_000_000 };
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay } });
  }
  return error;
}

export const MODEL = "llama3.2:1b";
export const messages = [{ role: "user", content: "Hello" }] as const;
