/**
 * HTTP/2 frames by hand, for what no client library sends: floods, broken order, half a frame. Knows the wire (RFC 9113 and 7541)
 * and nothing of gRPC.
 */
import { once } from "node:events";
import net, { type Socket } from "node:net";

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;
/** Error codes as RST_STREAM and GOAWAY carry them. */
export const ERROR = { noError: 0, protocol: 1, refused: 7, cancel: 8, enhanceYourCalm: 11 } as const;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEAD_BYTES = 9;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * index);
  return bytes;
}

/** SETTINGS with pairs of identifier and value. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  return frame(
    TYPE.settings,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.of(0, id), uint32(value)]))),
  );
}

/** A header block of literals without index or Huffman code. */
export function headerBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), hpackText(name), hpackText(value)])));
}

function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.of(...length, rest), bytes]);
}

/** The fields of a gRPC call to `path`, with `more` behind them. */
export function grpcFields(path: string, more: readonly (readonly [string, string])[] = []): [string, string][] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...(more as [string, string][]),
  ];
}

/** HEADERS that open a stream; the request goes on unless the flag says that it ends. */
export function openStream(streamId: number, fields: readonly (readonly [string, string])[], flags = 0): Buffer {
  return frame(TYPE.headers, FLAG.endHeaders | flags, streamId, headerBlock(fields));
}

export class RawHttp2 {
  readonly socket: Socket;
  /** What came, while somebody reads: at most the last 10,000 frames. */
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.isClosed = true;
        resolve();
      });
    });
    socket.on("error", () => undefined);
    socket.on("data", (data: Buffer) => this.#take(data));
  }

  /** Sends the preface and `first`, by default empty SETTINGS. */
  static async open(address: string, first: Buffer = settings()): Promise<RawHttp2> {
    const [host, port] = address.split(":");
    const raw = new RawHttp2(net.connect({ host: host ?? "", port: Number(port), noDelay: true }));
    await once(raw.socket, "connect");
    raw.socket.write(Buffer.concat([PREFACE, first]));
    return raw;
  }

  /** Resolves when the kernel took it, or the connection is gone. */
  async send(...frames: Buffer[]): Promise<void> {
    if (this.isClosed || this.socket.write(Buffer.concat(frames))) return;
    await Promise.race([once(this.socket, "drain").catch(() => undefined), this.closed]);
  }

  /** `count` times what `make` returns, in writes of 1,000; stops when the other side has closed. */
  async flood(count: number, make: (index: number) => Buffer): Promise<void> {
    for (let sent = 0; sent < count && !this.isClosed; sent += 1_000) {
      const length = Math.min(1_000, count - sent);
      await this.send(...Array.from({ length }, (_, index) => make(sent + index)));
    }
  }

  /** The error code of the GOAWAY that came, if any. */
  get goAwayCode(): number | undefined {
    return this.frames.findLast(({ type }) => type === TYPE.goAway)?.payload.readUInt32BE(4);
  }

  ofStream(streamId: number): Frame[] {
    return this.frames.filter((received) => received.streamId === streamId);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #take(data: Buffer): void {
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (this.#rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      const [type = 0, flags = 0] = this.#rest.subarray(3, 5);
      const streamId = this.#rest.readUInt32BE(5) & 0x7fffffff;
      this.frames.push({ type, flags, streamId, payload: Buffer.from(this.#rest.subarray(HEAD_BYTES, end)) });
      if (this.frames.length > 10_000) this.frames.shift();
      this.#rest = this.#rest.subarray(end);
    }
  }
}
