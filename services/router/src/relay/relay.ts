/**
 * The data path of gRPC callers: takes a stream of InferenceService from the listener, reads its request, hands it to
 * dispatch, and lets messages pass as bytes. It decodes the request once, to know the model, and no answer ever.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type DescMessage, type DescMethod, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import {
  type ByteBudget,
  type Clock,
  DroverError,
  META,
  type RelayHandler,
  type RelayRoute,
  randomId,
  readDeadlineMs,
} from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import {
  type Call,
  type Dispatcher,
  type InferenceRequest,
  type RefusedCall,
  type RequestBody,
  readCall,
  type TellRefused,
} from "@drover/routing";
import { Http2Caller } from "./http2-caller.ts";
import { readRequest } from "./read-request.ts";

const PREFIX_BYTES = 5;

export interface RelayOptions {
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly bodies: ByteBudget;
  /** Of calls that do not reach dispatch. */
  readonly tellRefused: TellRefused;
  /** For calls that do not say drover-max-wait-ms. */
  readonly maxWaitMs: number;
}

/** Takes what is exactly gRPC with protobuf; every other content type and path is left to connect. */
export function createRelay(options: RelayOptions): RelayRoute {
  const methods = new Map<string, RelayHandler>(
    InferenceService.methods.map((method) => [
      `/${InferenceService.typeName}/${method.name}`,
      (stream, headers) => void relayCall(options, method, stream, headers),
    ]),
  );
  return (headers) => (isGrpc(headers["content-type"]) ? methods.get(String(headers[":path"])) : undefined);
}

function isGrpc(contentType: string | undefined): boolean {
  return contentType === "application/grpc" || contentType === "application/grpc+proto";
}

interface IncomingCall {
  readonly id: string;
  readonly method: DescMethod;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** What is left of it: the deadline counts from the headers, not from the end of a long request. */
  readonly timeoutMs: number | undefined;
  readonly caller: Http2Caller;
}

/** Never rejects: whatever goes wrong is said on the stream. */
async function relayCall(
  options: RelayOptions,
  method: DescMethod,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const id = randomId();
  const caller = new Http2Caller(stream, id);
  const receivedMs = options.clock.nowMs();
  let body: RequestBody | undefined;
  try {
    const timeoutMs = readDeadlineMs(headers, META.grpcTimeout);
    body = await readRequest(stream, headers, { ...options, timeoutMs });
    const readingMs = options.clock.nowMs() - receivedMs;
    const leftMs = timeoutMs === undefined ? undefined : timeoutMs - readingMs;
    startCall(options, { id, method, stream, headers, timeoutMs: leftMs, caller }, body);
  } catch (error) {
    body?.release();
    const { clock, tellRefused } = options;
    const tookMs = clock.nowMs() - receivedMs;
    const refused: RefusedCall = {
      id,
      path: `/${method.parent.typeName}/${method.name}`,
      metadata: headers,
      error,
      tookMs,
    };
    caller.end({ error: tellRefused(refused), trailers: { [META.call]: id } });
  }
}

function startCall(options: RelayOptions, incoming: IncomingCall, body: RequestBody): void {
  const { id, method, stream, headers, timeoutMs, caller } = incoming;
  const message = decode(method.input, body.bytes.subarray(PREFIX_BYTES));
  const request = readCall({
    id,
    method,
    message: message as InferenceRequest,
    metadata: headers,
    body,
    timeoutMs,
    defaultMaxWaitMs: options.maxWaitMs,
  });
  let call: Call | undefined;
  stream.once("close", () => call?.cancel());
  stream.on("drain", () => call?.drained());
  call = options.dispatcher.start(request, caller);
  // It may have left while its request was being read.
  if (stream.destroyed || stream.closed || stream.rstCode === constants.NGHTTP2_CANCEL) call.cancel();
}

function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new DroverError(
      "malformed_request",
      `The request is not a ${schema.typeName}: it does not decode as protobuf.`,
      { cause },
    );
  }
}
