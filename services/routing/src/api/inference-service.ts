/**
 * InferenceService for callers that speak Connect or gRPC-Web: the same dispatch as the relay's, with messages instead of
 * bytes. gRPC callers never come here: their streams go to the relay.
 */
import { type DescMethod, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type ByteBudget,
  callIdOf,
  DroverError,
  META,
  type Metadata,
  REQUEST_BYTES_MAX,
  tooLarge,
} from "@drover/platform";
import {
  type ChatResponseSchema,
  type EmbedResponseSchema,
  type GenerateResponseSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import type { CallRequest, RequestBody } from "../dispatch/call-request.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { readCall } from "../dispatch/read-call.ts";
import type { InferenceRequest } from "../dispatch/read-profile.ts";
import { ConnectCaller } from "./connect-caller.ts";
import type { TellRefused } from "./refused-call.ts";

export interface InferenceServiceOptions {
  readonly dispatcher: Dispatcher;
  readonly bodies: ByteBudget;
  /** For calls that do not say drover-max-wait-ms. */
  readonly maxWaitMs: number;
  /** Of calls that do not reach dispatch. */
  readonly tellRefused: TellRefused;
}

type Output = typeof GenerateResponseSchema | typeof ChatResponseSchema | typeof EmbedResponseSchema;

interface ServedCall<Desc extends Output> {
  readonly method: DescMethod & { readonly output: Desc };
  readonly message: InferenceRequest;
  readonly context: HandlerContext;
}

const PREFIX_BYTES = 5;
/** Bodies are held as long as calls run, so that there is likely room soon. */
const RETRY_AFTER_MS = 1_000;

export function createInferenceService(options: InferenceServiceOptions): ServiceImpl<typeof InferenceService> {
  const { generate, chat, embed } = InferenceService.method;
  return {
    generate: (message, context) => answers(options, { method: generate, message, context }),
    chat: (message, context) => answers(options, { method: chat, message, context }),
    embed: async (message, context) => {
      let answer: MessageShape<typeof embed.output> | undefined;
      // To its end: a loop that is left counts as a call that failed.
      for await (answer of answers(options, { method: embed, message, context }));
      if (answer !== undefined) return answer;
      throw new DroverError("internal", `Drover failed on this call. Call ${callIdOf(context.values)}.`);
    },
  };
}

async function* answers<Desc extends Output>(
  options: InferenceServiceOptions,
  served: ServedCall<Desc>,
): AsyncGenerator<MessageShape<Desc>> {
  const { context, method } = served;
  const caller = new ConnectCaller<Desc>(method.output);
  const call = options.dispatcher.start(requestOf(options, served), caller);
  const leave = (): void => {
    if (isDeadline(context.signal.reason)) return;
    call.cancel();
    caller.leave();
  };
  context.signal.addEventListener("abort", leave, { once: true });
  if (context.signal.aborted) leave();
  let isWhole = false;
  try {
    for (let message = await caller.next(); message !== undefined; message = await caller.next()) {
      call.drained();
      yield message;
    }
    isWhole = true;
  } finally {
    context.signal.removeEventListener("abort", leave);
    // Connect stops reading when its caller leaves; harmless after the end.
    call.cancel();
    setTrailers(context, caller.trailers);
    // An error carries it already, and connect would send both.
    if (!isWhole) context.responseTrailer.delete(META.call);
  }
}

/**
 * Connect's timer for the deadline. Dispatch has one of its own that is a little earlier, and on a busy machine both are due at once:
 * the caller would be told CANCELLED where dispatch can say where the time went.
 */
function isDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}

function setTrailers({ responseTrailer }: HandlerContext, trailers: Metadata): void {
  for (const [key, value] of Object.entries(trailers)) if (value !== undefined) responseTrailer.set(key, String(value));
}

function requestOf(options: InferenceServiceOptions, served: ServedCall<Output>): CallRequest {
  const { method, context } = served;
  const id = callIdOf(context.values);
  context.responseHeader.set(META.call, id);
  try {
    return toRequest(options, served);
  } catch (error) {
    const path = `/${method.parent.typeName}/${method.name}`;
    throw options.tellRefused({ id, path, metadata: context.requestHeader, error, tookMs: 0 });
  }
}

function toRequest({ bodies, maxWaitMs }: InferenceServiceOptions, served: ServedCall<Output>) {
  const { method, message, context } = served;
  const id = callIdOf(context.values);
  const body = frameAgain(method, message, bodies);
  try {
    return readCall({
      id,
      method,
      message,
      metadata: Object.fromEntries(context.requestHeader) as Metadata,
      body,
      timeoutMs: context.timeoutMs(),
      defaultMaxWaitMs: maxWaitMs,
    });
  } catch (error) {
    body.release();
    throw error;
  }
}

/** The request as agents are sent it. It counts beside the bytes that the listener has read, because both are held. */
function frameAgain(method: DescMethod, message: InferenceRequest, bodies: ByteBudget): RequestBody {
  const encoded = toBinary(method.input, message);
  // A listener has refused it already; a program's own transport in process has no limit.
  if (encoded.length > REQUEST_BYTES_MAX) throw tooLarge(REQUEST_BYTES_MAX);
  const length = PREFIX_BYTES + encoded.length;
  if (!bodies.tryTake(length)) {
    const words = "This router holds as many bytes of requests as it may: try again, or send smaller images.";
    throw new DroverError("overloaded", words, { retryAfterMs: RETRY_AFTER_MS });
  }
  const bytes = Buffer.allocUnsafe(length);
  bytes[0] = 0;
  bytes.writeUInt32BE(encoded.length, 1);
  bytes.set(encoded, PREFIX_BYTES);
  let heldBytes = length;
  return {
    bytes,
    release: () => {
      bodies.give(heldBytes);
      heldBytes = 0;
    },
  };
}
