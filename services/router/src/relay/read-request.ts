/**
 * Reads a call's one request message from its HTTP/2 stream: bounded in length, memory and time, inflated when it is gzip, and
 * framed anew as identity, since agents are never sent compressed messages. It does not decode protobuf.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { createGunzip } from "node:zlib";
import { type ByteBudget, type Clock, DroverError, hopDeadlineMs, type Timer } from "@drover/platform";
import type { RequestBody } from "@drover/routing";
import { GrowingBody } from "./growing-body.ts";

/** Prompts with images are megabytes; this is far above any that a model takes. Also the limit after gzip. */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
const PREFIX_BYTES = 5;
/** A request may take this long, and more the longer it is: whoever sends slower holds a stream and memory for nothing. */
const PATIENCE_MS = 30_000;
const SLOWEST_BYTES_PER_MS = 64;

export interface ReadRequestOptions {
  readonly clock: Clock;
  /** What all bodies of this process may hold together. */
  readonly bodies: ByteBudget;
  /** Time that the caller gives, in ms. Undefined: no deadline. */
  readonly timeoutMs?: number | undefined;
}

/** Resolves with one framed message. Rejects with a DroverError; what was taken from the budget is then given back. */
export async function readRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  options: ReadRequestOptions,
): Promise<RequestBody> {
  const encoding = readEncoding(headers);
  const raw = new GrowingBody(options.bodies);
  try {
    await readAll(stream, raw, options);
    if (!isCompressed(raw.bytes, encoding)) return raw;
    const inflated = await inflate(raw.bytes.subarray(PREFIX_BYTES), options.bodies);
    raw.release();
    return inflated;
  } catch (error) {
    raw.release();
    throw error;
  }
}

type Encoding = "identity" | "gzip";

function readEncoding(headers: IncomingHttpHeaders): Encoding {
  const encoding = headers["grpc-encoding"] ?? "identity";
  if (encoding === "identity" || encoding === "gzip") return encoding;
  throw new DroverError(
    "encoding_unsupported",
    `Requests may be gzip or not compressed at all, not "${String(encoding).slice(0, 40)}".`,
  );
}

function readAll(stream: ServerHttp2Stream, body: GrowingBody, options: ReadRequestOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const watch = watchPace(body, options, (error) => settle(() => reject(error)));
    const settle = (then: () => void): void => {
      watch.stop();
      stream.off("data", onData);
      stream.off("end", onEnd);
      stream.off("close", onClose);
      // Without a reader the rest would fill the connection's window; it is read and dropped until the stream is closed.
      stream.resume();
      then();
    };
    const onData = (chunk: Buffer): void => {
      try {
        take(chunk, body);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onEnd = (): void => {
      // A reset ends the readable side as well, wherever in the message it came.
      const isReset = (stream.rstCode ?? constants.NGHTTP2_NO_ERROR) !== constants.NGHTTP2_NO_ERROR;
      settle(() => (isReset ? reject(callerLeft()) : resolve()));
    };
    const onClose = (): void => settle(() => reject(callerLeft()));
    stream.on("data", onData);
    stream.once("end", onEnd);
    stream.once("close", onClose);
  });
}

function take(chunk: Buffer, body: GrowingBody): void {
  const before = body.length;
  if (before + chunk.length > REQUEST_BYTES_MAX + PREFIX_BYTES) throw tooLarge();
  body.append(chunk);
  if (before >= PREFIX_BYTES || body.length < PREFIX_BYTES) return;
  const announcedBytes = lengthOf(body.bytes);
  if (announcedBytes > REQUEST_BYTES_MAX) throw tooLarge();
  body.expect(PREFIX_BYTES + announcedBytes);
}

/** Calls `onLate` once when the deadline passed or the caller sends too slowly. Looks rarely, because large bodies come in thousands of pieces. */
function watchPace(
  body: GrowingBody,
  { clock, timeoutMs }: ReadRequestOptions,
  onLate: (error: DroverError) => void,
): { stop(): void } {
  const startMs = clock.nowMs();
  const deadlineMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Math.max(hopDeadlineMs(timeoutMs), 0);
  const look = (): void => {
    const elapsedMs = clock.nowMs() - startMs;
    const patienceMs = PATIENCE_MS + body.length / SLOWEST_BYTES_PER_MS;
    if (elapsedMs >= deadlineMs) return onLate(deadlinePassed(elapsedMs, body.length));
    if (elapsedMs >= patienceMs) return onLate(tooSlow(elapsedMs, body.length));
    timer = clock.after(Math.min(deadlineMs, patienceMs) - elapsedMs, look);
  };
  let timer: Timer = clock.after(Math.min(deadlineMs, PATIENCE_MS), look);
  return { stop: () => timer.cancel() };
}

/** Throws unless `raw` is exactly one message. */
function isCompressed(raw: Uint8Array, encoding: Encoding): boolean {
  if (raw.length < PREFIX_BYTES) throw new DroverError("malformed_request", "The call has no request message.");
  const length = lengthOf(raw);
  if (raw.length !== PREFIX_BYTES + length) {
    throw new DroverError(
      "malformed_request",
      `The request must be one message of ${length} bytes, but ${raw.length - PREFIX_BYTES} came.`,
    );
  }
  if (raw[0] === 0) return false;
  if (raw[0] === 1 && encoding !== "identity") return true;
  throw new DroverError(
    "malformed_request",
    "The request message is marked as compressed, but grpc-encoding does not say how.",
  );
}

/** Piece by piece, each counted before the next: a bomb is refused when it exceeds a limit, not after it has gone off. */
async function inflate(compressed: Uint8Array, bodies: ByteBudget): Promise<RequestBody> {
  const inflated = new GrowingBody(bodies);
  try {
    inflated.append(Buffer.alloc(PREFIX_BYTES));
    const gunzip = createGunzip();
    gunzip.end(compressed);
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      if (inflated.length + piece.length > REQUEST_BYTES_MAX + PREFIX_BYTES) throw tooLarge();
      inflated.append(piece);
    }
    new DataView(inflated.bytes.buffer, inflated.bytes.byteOffset).setUint32(1, inflated.length - PREFIX_BYTES);
    return inflated;
  } catch (error) {
    inflated.release();
    if (error instanceof DroverError) throw error;
    throw new DroverError("malformed_request", "The request message is not valid gzip.", { cause: error });
  }
}

function lengthOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(1);
}

function callerLeft(): DroverError {
  return new DroverError("cancelled", "The caller left before its request was complete.");
}

function tooLarge(): DroverError {
  return new DroverError("request_too_large", "The request is over 64 MiB: send smaller or fewer images.");
}

function tooSlow(elapsedMs: number, receivedBytes: number): DroverError {
  const seconds = Math.round(elapsedMs / 1_000);
  return new DroverError(
    "malformed_request",
    `The request was not complete after ${seconds} s: ${receivedBytes} bytes came.`,
  );
}

function deadlinePassed(elapsedMs: number, receivedBytes: number): DroverError {
  return new DroverError(
    "deadline_exceeded",
    `The deadline passed after ${Math.round(elapsedMs)} ms while the request was still coming (${receivedBytes} bytes came).`,
  );
}
