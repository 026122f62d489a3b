/**
 * Reads a call's one request message from its HTTP/2 stream: bounded, inflated when it is gzip, and framed anew as identity,
 * since agents are never sent compressed messages. It does not decode protobuf.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { type ByteBudget, type Clock, DroverError, type Timer } from "@drover/platform";
import type { RequestBody } from "@drover/routing";

/** Prompts with images are megabytes; this is far above any that a model takes. Also the limit after gzip. */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
const PREFIX_BYTES = 5;
/** A request of which nothing comes for so long is given up: its caller holds a stream, and maybe megabytes of the budget. */
const SILENCE_LIMIT_MS = 30_000;
/** Bodies are held as long as calls run, so that there is likely room soon. */
const RETRY_AFTER_MS = 1_000;

const inflate = promisify(gunzip);

export interface ReadRequestOptions {
  readonly clock: Clock;
  /** What all bodies of this process may hold together. */
  readonly bodies: ByteBudget;
}

/** Resolves with one framed message. Rejects with a DroverError; what was taken from the budget is then given back. */
export async function readRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { clock, bodies }: ReadRequestOptions,
): Promise<RequestBody> {
  const encoding = readEncoding(headers);
  const held = holdBytes(bodies);
  try {
    const raw = await readAll(stream, held, clock);
    const bytes = await unwrap(raw, encoding, held);
    return { bytes, release: held.release };
  } catch (error) {
    held.release();
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

interface HeldBytes {
  take(bytes: number): void;
  release(): void;
}

/** All that one call takes from the budget, given back in one go, once. */
function holdBytes(bodies: ByteBudget): HeldBytes {
  let heldBytes = 0;
  return {
    take(bytes) {
      if (!bodies.tryTake(bytes)) throw noRoom();
      heldBytes += bytes;
    },
    release() {
      bodies.give(heldBytes);
      heldBytes = 0;
    },
  };
}

function readAll(stream: ServerHttp2Stream, held: HeldBytes, clock: Clock): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const giveUp = (error: unknown): void => {
      watch.stop();
      stream.removeAllListeners("data");
      // Without a reader the rest would fill the connection's window; it is read and dropped until the stream is closed.
      stream.resume();
      reject(error);
    };
    const watch = watchSilence(clock, () => giveUp(silent(length)));
    stream.on("data", (chunk: Buffer) => {
      watch.heard();
      length += chunk.length;
      try {
        if (length > REQUEST_BYTES_MAX + PREFIX_BYTES) throw tooLarge();
        held.take(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        giveUp(error);
      }
    });
    stream.once("end", () => {
      watch.stop();
      // A reset ends the readable side as well, wherever in the message it came.
      if ((stream.rstCode ?? constants.NGHTTP2_NO_ERROR) !== constants.NGHTTP2_NO_ERROR) return reject(callerLeft());
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length));
    });
    stream.once("close", () => {
      watch.stop();
      reject(callerLeft());
    });
  });
}

interface SilenceWatch {
  heard(): void;
  stop(): void;
}

/** Calls `onSilence` once when nothing was heard for the limit. Hearing costs no timer, because large bodies come in thousands of pieces. */
function watchSilence(clock: Clock, onSilence: () => void): SilenceWatch {
  let heardMs = clock.nowMs();
  const look = (): void => {
    const leftMs = heardMs + SILENCE_LIMIT_MS - clock.nowMs();
    if (leftMs > 0) timer = clock.after(leftMs, look);
    else onSilence();
  };
  let timer: Timer = clock.after(SILENCE_LIMIT_MS, look);
  return {
    heard: () => {
      heardMs = clock.nowMs();
    },
    stop: () => timer.cancel(),
  };
}

async function unwrap(raw: Buffer, encoding: Encoding, held: HeldBytes): Promise<Uint8Array> {
  if (raw.length < PREFIX_BYTES) throw new DroverError("malformed_request", "The call has no request message.");
  const flag = raw[0];
  const length = raw.readUInt32BE(1);
  if (length > REQUEST_BYTES_MAX) throw tooLarge();
  if (raw.length !== PREFIX_BYTES + length) {
    throw new DroverError(
      "malformed_request",
      `The request must be one message of ${length} bytes, but ${raw.length - PREFIX_BYTES} came.`,
    );
  }
  if (flag === 0) return raw;
  if (flag !== 1 || encoding === "identity") {
    throw new DroverError(
      "malformed_request",
      "The request message is marked as compressed, but grpc-encoding does not say how.",
    );
  }
  return frame(await inflateBounded(raw.subarray(PREFIX_BYTES)), held);
}

async function inflateBounded(compressed: Uint8Array): Promise<Buffer> {
  try {
    return await inflate(compressed, { maxOutputLength: REQUEST_BYTES_MAX });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
    throw new DroverError("malformed_request", "The request message is not valid gzip.", { cause: error });
  }
}

function frame(message: Buffer, held: HeldBytes): Uint8Array {
  held.take(message.length);
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

function callerLeft(): DroverError {
  return new DroverError("cancelled", "The caller left before its request was complete.");
}

function tooLarge(): DroverError {
  return new DroverError("request_too_large", "The request is over 64 MiB: send smaller or fewer images.");
}

function silent(receivedBytes: number): DroverError {
  return new DroverError(
    "malformed_request",
    `The request broke off: after ${receivedBytes} bytes nothing came for ${SILENCE_LIMIT_MS / 1_000} s.`,
  );
}

function noRoom(): DroverError {
  const message = "This router holds as many bytes of requests as it may: try again, or send smaller images.";
  return new DroverError("wait_exceeded", message, { retryAfterMs: RETRY_AFTER_MS });
}
