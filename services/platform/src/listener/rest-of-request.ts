/**
 * What is left of a request whose answer is ready before it was read: read and dropped for a moment, so that the caller gets the
 * answer, and then no more, so that nobody holds a stream for nothing. It knows no protocol of calls.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import http2, { type ServerHttp2Stream } from "node:http2";
import type { Clock } from "../clock.ts";

/** How long a caller that still sends may take to end its side. */
export const REST_PATIENCE_MS = 1_000;

/**
 * Resolves when the request is over, or at `untilMs`. For callers that send one message and then read: an answer that overtakes the
 * request makes curl before 8.0 hang or report an empty reply (https://github.com/curl/curl/issues/10433).
 */
export function restOfRequest(stream: ServerHttp2Stream, clock: Clock, untilMs: number): Promise<void> | undefined {
  const patienceMs = untilMs - clock.nowMs();
  if (stream.readableEnded || stream.destroyed || patienceMs <= 0) return undefined;
  return new Promise((resolve) => {
    const timer = clock.after(patienceMs, resolve);
    const finish = (): void => {
      timer.cancel();
      resolve();
    };
    stream.once("end", finish);
    stream.once("close", finish);
    drop(stream);
  });
}

/**
 * A refusal may come while the caller still sends, and flow control would then hold its stream open for ever: who goes on for too
 * long is asked to stop (NO_ERROR; RFC 9113, 8.1). Not at once: a reset that comes with the answer looks like a broken connection
 * (Node's ERR_STREAM_PREMATURE_CLOSE, curl's "Empty reply from server").
 */
export function closeWhenAnswered(stream: ServerHttp2Stream, clock: Clock): void {
  stream.once("finish", () => {
    if (stream.readableEnded) return;
    const timer = clock.after(REST_PATIENCE_MS, () => stream.close(http2.constants.NGHTTP2_NO_ERROR));
    stream.once("close", () => timer.cancel());
    drop(stream);
  });
}

/**
 * The same over HTTP/1.1, whose connection is all that can be closed: at once would reset it, and take the answer away from a caller
 * that still sends; never would let one that streams both ways wait for ever.
 */
export function closeWhenRefused(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  response.once("finish", () => {
    if (request.complete) return;
    const timer = clock.after(REST_PATIENCE_MS, () => request.destroy());
    request.once("close", () => timer.cancel());
    request.resume();
  });
}

/** The request's own listener pauses it for good. */
function drop(stream: ServerHttp2Stream): void {
  stream.removeAllListeners("data");
  stream.resume();
}
