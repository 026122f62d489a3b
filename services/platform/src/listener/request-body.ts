/**
 * A request's body on its way to connect: whole messages, inflated, counted against the budget that all requests share, and in
 * time. Connect itself would inflate before anybody counts, take room for a length that was only announced, and wait for ever.
 */
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import type { ByteBudget } from "../byte-budget.ts";
import type { Clock } from "../clock.ts";
import { deadlineKeyOf, readDeadlineMs } from "../deadline.ts";
import { DroverError } from "../drover-error.ts";
import { GrowingBody } from "../growing-body.ts";
import { toConnectError } from "../grpc-status.ts";
import { META } from "../metadata.ts";
import {
  announcedBytes,
  COMPRESSED_FLAG,
  checkFlags,
  type Encoding,
  encodingUnnamed,
  encodingUnsupported,
  inflate,
  inflateFramed,
  PREFIX_BYTES,
  parseEncoding,
  STREAM_MESSAGE_BYTES_MAX,
  tooLarge,
} from "../request-message.ts";
import { paced } from "./paced-pieces.ts";

export interface RequestBodyOptions {
  readonly clock: Clock;
  readonly bodies: ByteBudget;
  /** Of one message, also after gzip. */
  readonly limitBytes: number;
  /** The call has exactly one message; it counts until the call has ended. Streams of many count one at a time. */
  readonly hasOneMessage: boolean;
  readonly callId: string;
}

export interface RequestBody {
  /** Messages as connect reads them. Fails with a ConnectError that says why. */
  readonly messages: AsyncIterable<Uint8Array>;
  /** Where the answer names what would have been understood; undefined unless the request's encoding is not. */
  readonly acceptEncodingHeader: string | undefined;
  /** Gives back what the body took; the call is over. */
  readonly release: () => void;
}

/** Changes the request's header: connect is told that nothing is compressed, and no length. */
export function readBody(request: UniversalServerRequest, options: RequestBodyOptions): RequestBody {
  const wire = wireOf(request.header.get("content-type") ?? "");
  const name = request.header.get(wire.encodingHeader) ?? undefined;
  const encoding = parseEncoding(name);
  const announced = wire.isFramed ? 0 : Number(request.header.get("content-length") ?? 0);
  request.header.delete(wire.encodingHeader);
  // It would take room for all of it at once; HTTP itself sees to it that so many bytes come.
  request.header.delete("content-length");
  const held = new HeldBodies(options);
  const read = (): AsyncIterable<Uint8Array> => {
    if (encoding === undefined) throw encodingUnsupported(name ?? "");
    if (announced > options.limitBytes) throw tooLarge(options.limitBytes);
    const pieces = request.body as AsyncIterable<Uint8Array>;
    const timed = options.hasOneMessage
      ? paced(pieces, { clock: options.clock, timeoutMs: timeoutOf(request) })
      : pieces;
    return wire.isFramed
      ? framed(timed, { encoding, held, knownFlags: wire.knownFlags })
      : whole(timed, encoding, held);
  };
  return {
    messages: worded(read, options.callId),
    acceptEncodingHeader: encoding === undefined ? wire.acceptEncodingHeader : undefined,
    release: () => held.release(),
  };
}

interface Wire {
  /** Messages have a prefix, and each its own compression. Connect's unary calls are one bare message. */
  readonly isFramed: boolean;
  /** Bits that a prefix may have. */
  readonly knownFlags: number;
  readonly encodingHeader: string;
  readonly acceptEncodingHeader: string;
}

const GRPC: Wire = {
  isFramed: true,
  // gRPC-Web's mark of trailers.
  knownFlags: COMPRESSED_FLAG | 0x80,
  encodingHeader: "grpc-encoding",
  acceptEncodingHeader: "grpc-accept-encoding",
};
const CONNECT_STREAM: Wire = {
  isFramed: true,
  // The mark of the stream's end.
  knownFlags: COMPRESSED_FLAG | 2,
  encodingHeader: "connect-content-encoding",
  acceptEncodingHeader: "connect-accept-encoding",
};
const CONNECT_UNARY: Wire = {
  isFramed: false,
  knownFlags: 0,
  encodingHeader: "content-encoding",
  acceptEncodingHeader: "accept-encoding",
};

function wireOf(contentType: string): Wire {
  if (/^application\/grpc/i.test(contentType)) return GRPC;
  return /^application\/connect\+/i.test(contentType) ? CONNECT_STREAM : CONNECT_UNARY;
}

/** What this request has taken from the budget so far. */
class HeldBodies {
  readonly limitBytes: number;
  readonly #options: RequestBodyOptions;
  #bodies: GrowingBody[] = [];
  #isOver = false;

  constructor(options: RequestBodyOptions) {
    this.#options = options;
    this.limitBytes = options.hasOneMessage
      ? options.limitBytes
      : Math.min(options.limitBytes, STREAM_MESSAGE_BYTES_MAX);
  }

  /** Nobody would give back what comes after the call. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get bodies(): ByteBudget {
    return this.#options.bodies;
  }

  /** Room for the next message. The last one is connect's now; of a call's only message it still counts. */
  next(): GrowingBody {
    if (this.#options.hasOneMessage) for (const body of this.#bodies) body.forget();
    else this.#giveBack();
    return this.#hold(new GrowingBody(this.#options.bodies));
  }

  /** `inflated` instead of what it was inflated from. */
  replace(inflated: GrowingBody): void {
    this.#giveBack();
    this.#hold(inflated);
  }

  release(): void {
    this.#isOver = true;
    this.#giveBack();
  }

  #hold(body: GrowingBody): GrowingBody {
    if (this.#isOver) body.release();
    else this.#bodies.push(body);
    return body;
  }

  #giveBack(): void {
    for (const body of this.#bodies) body.release();
    this.#bodies = [];
  }
}

interface FramedBody {
  readonly encoding: Encoding;
  readonly held: HeldBodies;
  readonly knownFlags: number;
}

async function* framed(
  pieces: AsyncIterable<Uint8Array>,
  { encoding, held, knownFlags }: FramedBody,
): AsyncGenerator<Uint8Array> {
  let body = held.next();
  for await (const piece of pieces) {
    for (let rest = piece; rest.length > 0 && !held.isOver; ) {
      rest = fill(body, rest, { limitBytes: held.limitBytes, knownFlags });
      if (!isWhole(body)) continue;
      const message = await plain(body.bytes, encoding, held);
      if (held.isOver) return;
      yield message;
      body = held.next();
    }
    if (held.isOver) return;
  }
  if (body.length === 0) return;
  checkFlags(body.bytes, knownFlags);
  // Half a message: connect says so.
  yield body.bytes;
}

/** Adds to `body` what belongs to its message, and returns the rest. */
function fill(
  body: GrowingBody,
  piece: Uint8Array,
  { limitBytes, knownFlags }: { limitBytes: number; knownFlags: number },
): Uint8Array {
  const isPrefixed = body.length >= PREFIX_BYTES;
  const wantedBytes = isPrefixed ? PREFIX_BYTES + announcedBytes(body.bytes) : PREFIX_BYTES;
  const part = piece.subarray(0, wantedBytes - body.length);
  body.append(part);
  if (!isPrefixed && body.length === PREFIX_BYTES) {
    checkFlags(body.bytes, knownFlags);
    const length = announcedBytes(body.bytes);
    if (length > limitBytes) throw tooLarge(limitBytes);
    body.expect(PREFIX_BYTES + length);
  }
  return piece.subarray(part.length);
}

function isWhole(body: GrowingBody): boolean {
  return body.length >= PREFIX_BYTES && body.length === PREFIX_BYTES + announcedBytes(body.bytes);
}

async function plain(frame: Uint8Array, encoding: Encoding, held: HeldBodies): Promise<Uint8Array> {
  const flags = frame[0] ?? 0;
  if ((flags & COMPRESSED_FLAG) === 0) return frame;
  if (encoding === "identity") throw encodingUnnamed();
  const { bodies, limitBytes } = held;
  const compressed = frame.subarray(PREFIX_BYTES);
  const inflated = await inflateFramed(compressed, { bodies, limitBytes, flags: flags & ~COMPRESSED_FLAG });
  const { bytes } = inflated;
  held.replace(inflated);
  return bytes;
}

async function* whole(
  pieces: AsyncIterable<Uint8Array>,
  encoding: Encoding,
  held: HeldBodies,
): AsyncGenerator<Uint8Array> {
  const body = held.next();
  for await (const piece of pieces) {
    if (body.length + piece.length > held.limitBytes) throw tooLarge(held.limitBytes);
    body.append(piece);
    if (held.isOver) return;
  }
  if (held.isOver || body.length === 0) return;
  if (encoding === "identity") return yield body.bytes;
  const { bodies, limitBytes } = held;
  const inflated = await inflate(body.bytes, { bodies, limitBytes, head: new Uint8Array(0) });
  const { bytes } = inflated;
  held.replace(inflated);
  yield bytes;
}

/** Fails with what connect understands, and with the call's id, which connect's own errors have not. */
async function* worded(read: () => AsyncIterable<Uint8Array>, callId: string): AsyncGenerator<Uint8Array> {
  try {
    yield* read();
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    const known = toConnectError(error, { callId });
    known.metadata.set(META.call, callId);
    throw known;
  }
}

/** The listener has taken a malformed one away. */
function timeoutOf({ header }: UniversalServerRequest): number | undefined {
  return readDeadlineMs(header, deadlineKeyOf(header));
}
