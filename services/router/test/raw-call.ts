/**
 * A gRPC call on the bare HTTP/2 frames, for what client libraries hide: which frames came, and with which flags.
 */
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";

export interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  /** The first HEADERS frame ended the stream: a true Trailers-Only answer. */
  readonly isTrailersOnly: boolean;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly data: Buffer;
  readonly rstCode: number | undefined;
}

/** One message with its 5-byte prefix. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

export interface RawRequest {
  /** "Chat" */
  readonly method: string;
  /** Sent as it is. */
  readonly body: Uint8Array;
  readonly headers?: OutgoingHttpHeaders;
  /** Called once, before anything was sent. */
  readonly onOpen?: (stream: ClientHttp2Stream) => void;
}

/** On a connection of its own. Resolves when the stream has closed. */
export async function rawCall(
  address: string,
  method: string,
  body: Uint8Array,
  headers: OutgoingHttpHeaders = {},
): Promise<RawAnswer> {
  // By default Node gives up a session whose own unsent bytes are over 10 MB.
  const session = http2.connect(`http://${address}`, { maxSessionMemory: 1_000 });
  session.on("error", () => undefined);
  try {
    return await rawCallOn(session, { method, body, headers });
  } finally {
    session.close();
  }
}

/** Resolves when the stream has closed, however that came. */
export function rawCallOn(session: ClientHttp2Session, request: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": `/drover.inference.v1.InferenceService/${request.method}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...request.headers,
    });
    let headers: IncomingHttpHeaders = {};
    let isTrailersOnly = false;
    let trailers: IncomingHttpHeaders | undefined;
    const data: Buffer[] = [];
    stream.on("error", () => undefined);
    stream.on("response", (received, flags) => {
      headers = received;
      isTrailersOnly = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => data.push(chunk));
    stream.on("close", () =>
      resolve({ headers, isTrailersOnly, trailers, data: Buffer.concat(data), rstCode: stream.rstCode }),
    );
    request.onOpen?.(stream);
    stream.end(request.body);
  });
}
