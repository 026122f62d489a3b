/**
 * The rules that every protocol shares for one request message: how long it may be, how it is inflated, how slowly it may come,
 * and the words of each refusal. It knows no stream and no headers.
 */
import { Buffer } from "node:buffer";
import { createGunzip } from "node:zlib";
import type { ByteBudget } from "./byte-budget.ts";
import type { Clock, Timer } from "./clock.ts";
import { hopDeadlineMs } from "./deadline.ts";
import { DroverError } from "./drover-error.ts";
import { GrowingBody } from "./growing-body.ts";

/** Prompts with images are megabytes; this is far above any that a model takes. Also the limit after gzip. */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
/** One message of a stream of many, such as reflection's and Attach's: those are small. */
export const STREAM_MESSAGE_BYTES_MAX = 1024 * 1024;
/** gRPC's frame of a message: one byte of flags, four of length. Connect's streams have the same. */
export const PREFIX_BYTES = 5;
/** What a request may be compressed with, as `grpc-accept-encoding` tells it. Answers are never compressed. */
export const ACCEPTED_ENCODINGS = "identity,gzip";
/** A request may take this long, and more the longer it is: whoever sends slower holds a stream and memory for nothing. */
export const REQUEST_PATIENCE_MS = 30_000;
export const REQUEST_SLOWEST_BYTES_PER_MS = 64;

export type Encoding = "identity" | "gzip";

/** Undefined for one that is not understood. */
export function parseEncoding(name: string | undefined): Encoding | undefined {
  if (name === undefined || name === "" || name === "identity") return "identity";
  return name === "gzip" ? "gzip" : undefined;
}

/** Bit 0 of a prefix's flags says that its message is compressed, in all three protocols. */
export const COMPRESSED_FLAG = 1;

/**
 * Throws on flags that no message has. Told before the length: what was sent without a prefix, such as bare JSON, would else be
 * refused for a length that its text happens to spell.
 */
export function checkFlags(prefix: Uint8Array, knownFlags: number): void {
  if (((prefix[0] ?? 0) & ~knownFlags) === 0) return;
  const looks =
    prefix[0] === OPENING_BRACE ? " It looks like bare JSON, which unary methods take as application/json." : "";
  throw new DroverError(
    "malformed_request",
    `The request does not begin with the 5 bytes that stand before each message: flags (0), then its length, big endian.${looks}`,
  );
}

const OPENING_BRACE = 0x7b;

/** The length that a prefix announces. */
export function announcedBytes(prefix: Uint8Array): number {
  return new DataView(prefix.buffer, prefix.byteOffset).getUint32(1);
}

/**
 * `compressed` inflated, behind `head`. Piece by piece, each counted before the next: a bomb is refused when it exceeds a limit,
 * not after it has gone off.
 */
export async function inflate(
  compressed: Uint8Array,
  { bodies, limitBytes, head }: { bodies: ByteBudget; limitBytes: number; head: Uint8Array },
): Promise<GrowingBody> {
  const inflated = new GrowingBody(bodies);
  try {
    inflated.append(head);
    const gunzip = createGunzip();
    gunzip.end(compressed);
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      if (inflated.length + piece.length > limitBytes + head.length) throw tooLarge(limitBytes);
      inflated.append(piece);
    }
    return inflated;
  } catch (error) {
    inflated.release();
    if (error instanceof DroverError) throw error;
    throw new DroverError("malformed_request", "The request message is not valid gzip.", { cause: error });
  }
}

/** As `inflate`, with the prefix of a message that is not compressed, and the flags that are left. */
export async function inflateFramed(
  compressed: Uint8Array,
  { bodies, limitBytes, flags }: { bodies: ByteBudget; limitBytes: number; flags: number },
): Promise<GrowingBody> {
  const inflated = await inflate(compressed, { bodies, limitBytes, head: Buffer.alloc(PREFIX_BYTES) });
  const { bytes } = inflated;
  bytes[0] = flags;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(1, bytes.length - PREFIX_BYTES);
  return inflated;
}

export interface PaceOptions {
  readonly clock: Clock;
  /** Time that the caller gives, in ms. Undefined: no deadline. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Calls `onLate` once when the deadline passed or the caller sends too slowly. Looks rarely, because large bodies come in
 * thousands of pieces.
 */
export function watchPace(
  receivedBytes: () => number,
  { clock, timeoutMs }: PaceOptions,
  onLate: (error: DroverError) => void,
): { stop(): void } {
  const startMs = clock.nowMs();
  const deadlineMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Math.max(hopDeadlineMs(timeoutMs), 0);
  const look = (): void => {
    const elapsedMs = clock.nowMs() - startMs;
    const patienceMs = REQUEST_PATIENCE_MS + receivedBytes() / REQUEST_SLOWEST_BYTES_PER_MS;
    if (elapsedMs >= deadlineMs) return onLate(deadlinePassed(elapsedMs, receivedBytes()));
    if (elapsedMs >= patienceMs) return onLate(tooSlow(elapsedMs, receivedBytes()));
    timer = clock.after(Math.min(deadlineMs, patienceMs) - elapsedMs, look);
  };
  let timer: Timer = clock.after(Math.min(deadlineMs, REQUEST_PATIENCE_MS), look);
  return { stop: () => timer.cancel() };
}

export function tooLarge(limitBytes: number): DroverError {
  const limit = limitBytes < 1024 * 1024 ? `${limitBytes} bytes` : `${Math.floor(limitBytes / 1024 / 1024)} MiB`;
  return new DroverError("request_too_large", `The request is over ${limit}: send smaller or fewer images.`);
}

export function encodingUnsupported(name: string): DroverError {
  return new DroverError(
    "encoding_unsupported",
    `Requests may be gzip or not compressed at all, not "${name.slice(0, 40)}".`,
  );
}

export function encodingUnnamed(): DroverError {
  return new DroverError(
    "malformed_request",
    "The request message is marked as compressed, but no header says how (grpc-encoding, connect-content-encoding).",
  );
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
