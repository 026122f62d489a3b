/**
 * The HTTP/1.1 and the HTTP/2 side of a listener. Neither listens: the sniffer hands them connections. They know a handler for
 * requests and a relay for streams, and nothing of either's work.
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2, {
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { NodeHandler } from "./http-answers.ts";
import type { ListenerLimits } from "./limits.ts";
import { UnreadAnswers } from "./unread-answers.ts";

/** Takes over an HTTP/2 stream; from then on all of it (errors, trailers, end) is the handler's. */
export type RelayHandler = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void;

/** The handler for these request headers, or undefined when connect's handlers shall serve them. Called once per HTTP/2 stream. */
export type RelayRoute = (headers: IncomingHttpHeaders) => RelayHandler | undefined;

export interface DrainState {
  isDraining: boolean;
}

export interface Http2SideOptions {
  readonly limits: ListenerLimits;
  readonly relay: RelayRoute | undefined;
  readonly log: Logger;
  readonly clock: Clock;
}

export function createHttp1(handler: NodeHandler, limits: ListenerLimits, state: DrainState): http.Server {
  const timeouts = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    // Node looks for late requests this often; its default would double the wait.
    connectionsCheckingInterval: limits.headersTimeoutMs / 2,
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    request.on("error", ignore);
    response.on("error", ignore);
    // Also comes while there is nothing to send yet, which is no fault of the caller's.
    response.setTimeout(limits.unreadAnswerMs, () => {
      if ((response.socket?.writableLength ?? 0) > 0) response.destroy();
    });
    // A finished keep-alive connection would hold the drain until its timeout.
    response.once("close", () => {
      if (state.isDraining) setImmediate(() => h1.closeIdleConnections());
    });
    if (state.isDraining) response.shouldKeepAlive = false;
    handler(request, response);
  };
  const h1 = http.createServer(timeouts, serve);
  // A server that does not listen watches no timeouts and tracks no connections until it believes that it does.
  h1.emit("listening");
  return h1;
}

/**
 * HTTP/2. Two servers: `h2` has no `request` listener, so that a relayed stream costs no compatibility objects and its trailers
 * are the relay's alone (the compatibility response would answer `wantTrailers` itself and the relay's answer would then throw);
 * `compat` never listens and turns a stream into request and response for connect.
 */
export function createHttp2(handler: NodeHandler, { limits, relay: route, log, clock }: Http2SideOptions): Http2Server {
  const compat = http2.createServer((request: Http2ServerRequest, response: Http2ServerResponse) => {
    request.on("error", ignore);
    response.on("error", ignore);
    // A stream that is reset in the same breath (rapid reset, CVE-2023-44487) costs a look then, and none of connect's work.
    setImmediate(() => {
      const { stream } = request;
      if (!stream.destroyed && !stream.aborted) guarded(stream, log, () => handler(request, response));
    });
  });
  const h2 = http2.createServer({
    settings: { maxConcurrentStreams: limits.maxConcurrentStreams, maxHeaderListSize: limits.maxHeaderBytes },
    maxSessionMemory: limits.maxSessionMemoryMb,
    maxHeaderListPairs: limits.maxHeaderPairs,
    streamResetBurst: limits.streamResetBurst,
    streamResetRate: limits.streamResetRate,
  });
  const unread = new UnreadAnswers({ clock, patienceMs: limits.unreadAnswerMs });
  h2.on("sessionError", ignore);
  h2.on("stream", (stream, headers, flags, rawHeaders) => {
    stream.on("error", ignore);
    unread.watch(stream);
    // Node enforces the setting only on peers that have acknowledged it, and none must.
    if (headerBytes(rawHeaders) > limits.maxHeaderBytes) return stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    guarded(stream, log, () => {
      const relay = route?.(headers);
      if (relay === undefined) compat.emit("stream", stream, headers, flags, rawHeaders);
      else relay(stream, headers, flags, rawHeaders);
    });
  });
  return h2;
}

/** Whatever a handler throws ends its stream and nothing else. */
function guarded(stream: ServerHttp2Stream, log: Logger, serve: () => void): void {
  try {
    serve();
  } catch (error) {
    log.error({ err: error }, "a stream's handler failed");
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/** As HTTP/2 counts them for SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113, 6.5.2): 32 for each field beside name and value. */
function headerBytes(rawHeaders: readonly string[]): number {
  let bytes = rawHeaders.length * 16;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}

function ignore(): void {
  // "close" follows and does the work.
}
