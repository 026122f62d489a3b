/**
 * Reads a call's one request message from its HTTP/2 stream: bounded in length, memory and time, inflated when it is gzip, and
 * framed anew as identity, since agents are never sent compressed messages. It does not decode protobuf.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import {
  announcedBytes,
  type ByteBudget,
  type Clock,
  COMPRESSED_FLAG,
  checkFlags,
  DroverError,
  type Encoding,
  encodingUnnamed,
  encodingUnsupported,
  GrowingBody,
  inflateFramed,
  PREFIX_BYTES,
  parseEncoding,
  REQUEST_BYTES_MAX,
  tooLarge,
  watchPace,
} from "@drover/platform";
import type { RequestBody } from "@drover/routing";

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
  const name = headers["grpc-encoding"]?.toString();
  const encoding = parseEncoding(name);
  if (encoding === undefined) throw encodingUnsupported(name ?? "");
  const raw = new GrowingBody(options.bodies);
  try {
    await readAll(stream, raw, options);
    if (!isCompressed(raw.bytes, encoding)) return raw;
    const compressed = raw.bytes.subarray(PREFIX_BYTES);
    const inflated = await inflateFramed(compressed, {
      bodies: options.bodies,
      limitBytes: REQUEST_BYTES_MAX,
      flags: 0,
    });
    raw.release();
    return inflated;
  } catch (error) {
    raw.release();
    throw error;
  }
}

function readAll(stream: ServerHttp2Stream, body: GrowingBody, options: ReadRequestOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const watch = watchPace(
      () => body.length,
      options,
      (error) => settle(() => reject(error)),
    );
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
  if (before + chunk.length > REQUEST_BYTES_MAX + PREFIX_BYTES) throw tooLarge(REQUEST_BYTES_MAX);
  body.append(chunk);
  if (before >= PREFIX_BYTES || body.length < PREFIX_BYTES) return;
  checkFlags(body.bytes, COMPRESSED_FLAG);
  const length = announcedBytes(body.bytes);
  if (length > REQUEST_BYTES_MAX) throw tooLarge(REQUEST_BYTES_MAX);
  body.expect(PREFIX_BYTES + length);
}

/** Throws unless `raw` is exactly one message. */
function isCompressed(raw: Uint8Array, encoding: Encoding): boolean {
  if (raw.length < PREFIX_BYTES) throw new DroverError("malformed_request", "The call has no request message.");
  const length = announcedBytes(raw);
  if (raw.length !== PREFIX_BYTES + length) {
    throw new DroverError(
      "malformed_request",
      `The request must be one message of ${length} bytes, but ${raw.length - PREFIX_BYTES} came.`,
    );
  }
  if (raw[0] !== COMPRESSED_FLAG) return false;
  if (encoding === "identity") throw encodingUnnamed();
  return true;
}

function callerLeft(): DroverError {
  return new DroverError("cancelled", "The caller left before its request was complete.");
}
