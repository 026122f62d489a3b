/**
 * Serves connect's handlers on Node requests of HTTP/1.1 and HTTP/2: gRPC, gRPC-Web and Connect. Differs from connect-node's
 * adapter in what it must not do: print to standard error, compress answers, send errors without Trailers-Only, or throw.
 */
import type { IncomingMessage } from "node:http";
import http2 from "node:http2";
import {
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { ByteBudget } from "../byte-budget.ts";
import type { Clock } from "../clock.ts";
import { deadlineKeyOf, formatGrpcTimeout, readDeadlineMs } from "../deadline.ts";
import type { Logger } from "../log.ts";
import { META } from "../metadata.ts";
import { ACCEPTED_ENCODINGS } from "../request-message.ts";
import { randomId } from "../rng.ts";
import { createErrorInterceptor } from "./error-interceptor.ts";
import { isGrpc, writeGrpc } from "./grpc-answer.ts";
import {
  answerPlainly,
  answerRefusal,
  answerUnknownPath,
  type NodeHandler,
  type NodeResponse,
  type NodeServerRequest,
} from "./http-answers.ts";
import { readPeer, setAbandon, setCallId, setPeer, setRefusal } from "./peer.ts";
import { withReason } from "./reasoned-answer.ts";
import { readBody } from "./request-body.ts";
import { refuseForm } from "./request-form.ts";
import { closeWhenAnswered, closeWhenRefused, REST_PATIENCE_MS, restOfRequest } from "./rest-of-request.ts";

type NodeServerResponse = Parameters<typeof universalResponseToNodeResponse>[1];

export interface ConnectHandlerOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: readonly Interceptor[];
  readonly clock: Clock;
  readonly readMaxBytes: number;
  /** Holds the bodies of running unary and server-streaming calls; streams of many messages are bounded by flow control. */
  readonly requestBodies: ByteBudget;
  readonly shutdownSignal?: AbortSignal;
  readonly log: Logger;
  /** Answers what is no method of the routes; by default with "nothing here" in the caller's protocol. */
  readonly otherPaths?: NodeHandler;
}

/** What connect can wait for: its timer is setTimeout, which fires at once beyond 2^31 - 1 ms. */
const LONGEST_CONNECT_TIMEOUT_MS = 99_999_999;

export function createConnectHandler(options: ConnectHandlerOptions): NodeHandler {
  const router = createConnectRouter({
    // Requests are inflated before connect sees them, and answers are never compressed: a token stream would be gzipped.
    acceptCompression: [],
    readMaxBytes: options.readMaxBytes,
    interceptors: [createErrorInterceptor(options.log), ...options.interceptors],
    ...(options.shutdownSignal === undefined ? {} : { shutdownSignal: options.shutdownSignal }),
  });
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const services = new Set(router.handlers.map(({ service }) => service.typeName));
  const otherPaths = options.otherPaths ?? answerUnknownPath([...services].sort());
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler === undefined) return otherPaths(request, response);
    serve(handler, request, response, options).catch((error: unknown) => {
      // The caller left, or the connection broke: connect has told the handler.
      options.log.debug({ path, err: ConnectError.from(error).message }, "a call's answer could not be written");
      abandon(response, http2.constants.NGHTTP2_INTERNAL_ERROR);
    });
  };
}

async function serve(
  handler: UniversalHandler,
  request: NodeServerRequest,
  response: NodeResponse,
  options: ConnectHandlerOptions,
): Promise<void> {
  const { methodKind } = handler.method;
  const hasOneMessage = methodKind === "unary" || methodKind === "server_streaming";
  const restUntilMs = options.clock.nowMs() + REST_PATIENCE_MS;
  const restOf = (): Promise<void> | undefined =>
    "stream" in response && hasOneMessage ? restOfRequest(response.stream, options.clock, restUntilMs) : undefined;
  if ("stream" in response) closeWhenAnswered(response.stream, options.clock);
  const form = {
    method: request.method ?? "",
    httpVersion: request.httpVersion,
    contentType: request.headers["content-type"] ?? "",
  };
  const refusal = refuseForm(handler, form);
  if (refusal !== undefined) {
    if (!("stream" in response)) closeWhenRefused(request as IncomingMessage, response, options.clock);
    await restOf();
    return answerRefusal(request, response, refusal);
  }
  const callId = randomId();
  const values = setCallId(createContextValues(), callId);
  // What a caller does not read uses up what it may have.
  setAbandon(values, () => abandon(response, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM));
  setPeer(values, readPeer(request.socket.remoteAddress, request.headers));
  const universal = toUniversalRequest(request, response, values);
  if (universal === undefined) return answerPlainly(response, 400, "The request's address is malformed.\n");
  checkDeadline(universal.header, values);
  const { clock, requestBodies: bodies, readMaxBytes: limitBytes } = options;
  const body = readBody(universal, { clock, bodies, limitBytes, hasOneMessage, callId });
  // Not when this function ends: connect-node's writer waits for an `end` that responses never emit.
  // The response of HTTP/2 emits its own `finish` only with `close`, which a caller that still sends delays.
  ("stream" in response ? response.stream : response).once("finish", body.release);
  response.once("close", body.release);
  const answer = await handler({ ...universal, body: body.messages });
  await restOf();
  if (body.acceptEncodingHeader !== undefined) answer.header?.set(body.acceptEncodingHeader, ACCEPTED_ENCODINGS);
  await answerWith(response, answer, callId);
}

async function answerWith(response: NodeResponse, answer: UniversalServerResponse, callId: string): Promise<void> {
  if ("stream" in response && isGrpc(answer)) await writeGrpc(answer, response);
  else await universalResponseToNodeResponse(await withReason(answer, callId), response as NodeServerResponse);
}

/** A call that cannot be answered must not stay open. */
function abandon(response: NodeResponse, code: number): void {
  if ("stream" in response) response.stream.close(code);
  else response.destroy();
}

/** Throws on an `:authority` or a path that is no URL, which any peer may send. */
function toUniversalRequest(
  request: NodeServerRequest,
  response: NodeResponse,
  values: ReturnType<typeof createContextValues>,
): ReturnType<typeof universalRequestFromNodeRequest> | undefined {
  try {
    return universalRequestFromNodeRequest(request, response as NodeServerResponse, undefined, values);
  } catch {
    return undefined;
  }
}

/**
 * Reads the deadline as the relay does, before connect does: connect words its refusals otherwise, takes 0 for a deadline that
 * nobody explains, and would end a call of `720H` after 1 ms. What is wrong is said by the error interceptor.
 */
function checkDeadline(header: Headers, values: ContextValues): void {
  const key = deadlineKeyOf(header);
  try {
    const givenMs = readDeadlineMs(header, key);
    if (givenMs === undefined) return;
    const clampedMs = Math.min(givenMs, LONGEST_CONNECT_TIMEOUT_MS);
    if (clampedMs < givenMs)
      header.set(key, key === META.grpcTimeout ? formatGrpcTimeout(clampedMs) : String(clampedMs));
  } catch (error) {
    header.delete(key);
    setRefusal(values, error);
  }
}
