/**
 * How a client sends its calls over connect's Transport. Not through connect's own client: that one adds a promise or two per
 * message and hides the trailers of a stream.
 */
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { META, readText } from "../metadata.ts";
import { type CallOptions, callHeaders, deadlineMs } from "./call-options.ts";
import type { CallScope, RunningCalls } from "./call-scope.ts";
import type { ReadImageFile } from "./images.ts";

export interface Sending {
  readonly transport: Transport;
  readonly running: RunningCalls;
  /** With every call. */
  readonly headers: Readonly<Record<string, string>>;
  /** For calls that say none. */
  readonly timeoutMs: number | undefined;
  /** Undefined where there are no files. */
  readonly readImageFile: ReadImageFile | undefined;
}

/** A call that is allowed to begin. */
export interface BegunCall {
  readonly scope: CallScope;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number | undefined;
}

/** Throws a DroverError for options that are wrong, a signal that has aborted, a client that was closed. */
export function beginCall(sending: Sending, options: CallOptions): BegunCall {
  const headers = callHeaders(sending.headers, options);
  const timeoutMs = deadlineMs(options.timeoutMs ?? sending.timeoutMs);
  return { scope: sending.running.enter(options.signal), headers, timeoutMs };
}

/** Async, so that what transports throw at once is a rejection too. */
export async function sendStream<Input extends DescMessage, Output extends DescMessage>(
  transport: Transport,
  method: DescMethodServerStreaming<Input, Output>,
  request: MessageInitShape<Input>,
  { scope, headers, timeoutMs }: BegunCall,
): Promise<StreamResponse<Input, Output>> {
  // It may have been ended while images were read.
  scope.signal.throwIfAborted();
  return transport.stream(method, scope.signal, timeoutMs, headers, only(request));
}

/** A call with one answer. */
export async function callUnary<Input extends DescMessage, Output extends DescMessage>(
  sending: Sending,
  method: DescMethodUnary<Input, Output>,
  request: MessageInitShape<Input>,
  options: CallOptions = {},
): Promise<UnaryResponse<Input, Output>> {
  const { scope, headers, timeoutMs } = beginCall(sending, options);
  try {
    const response = await sending.transport.unary(method, scope.signal, timeoutMs, headers, request);
    scope.leave();
    return response;
  } catch (error) {
    throw scope.failure(error, { timeoutMs, hasAnswered: false });
  }
}

/** A stream of messages as they are, such as the fleet's changes. Leaving the loop ends the call. */
export async function* callStream<Input extends DescMessage, Output extends DescMessage>(
  sending: Sending,
  method: DescMethodServerStreaming<Input, Output>,
  request: MessageInitShape<Input>,
  options: CallOptions = {},
) {
  const call = beginCall(sending, options);
  let header: Headers | undefined;
  try {
    const response = await sendStream(sending.transport, method, request, call);
    header = response.header;
    yield* response.message;
  } catch (error) {
    const callId = header === undefined ? undefined : readText(header, META.call);
    throw call.scope.failure(error, { timeoutMs: call.timeoutMs, hasAnswered: header !== undefined, callId });
  } finally {
    // After the end this does nothing.
    call.scope.leave();
    call.scope.end("left");
  }
}

async function* only<Message>(message: Message): AsyncIterable<Message> {
  yield message;
}
