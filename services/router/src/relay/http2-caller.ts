/**
 * The caller's end of a relayed call on its HTTP/2 stream. Headers are held back until the first message, so that an error
 * before it is a true Trailers-Only answer: the only kind that gRPC clients retry.
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { ACCEPTED_ENCODINGS, META, toGrpcTrailers } from "@drover/platform";
import type { CallEnding, CallerStream } from "@drover/routing";

const CONTENT_TYPE = "application/grpc+proto";

export class Http2Caller implements CallerStream {
  readonly #stream: ServerHttp2Stream;
  readonly #callId: string;
  #trailers: OutgoingHttpHeaders = {};

  constructor(stream: ServerHttp2Stream, callId: string) {
    this.#stream = stream;
    this.#callId = callId;
  }

  write(bytes: Uint8Array): boolean {
    const stream = this.#stream;
    // A caller that left is told by `close`; until then its bytes go nowhere.
    if (stream.destroyed || stream.closed) return true;
    if (!stream.headersSent) this.#respond();
    return stream.write(bytes);
  }

  /** Never throws: trailers that HTTP/2 cannot carry must not leave the caller without an end. */
  end(ending: CallEnding): void {
    try {
      this.#end(ending);
    } catch {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #end({ error, trailers }: CallEnding): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    // Trailers would wait behind the bytes that nobody reads; gRPC reads this reset as RESOURCE_EXHAUSTED.
    if (error?.kind === "caller_stalled") return stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    const status = error === undefined ? { [META.grpcStatus]: "0" } : toGrpcTrailers(error);
    const all = { ...trailers, ...status, ...extraTrailers(error?.kind) };
    if (stream.headersSent) {
      this.#trailers = all;
      stream.end();
      return;
    }
    stream.respond({ ":status": 200, "content-type": CONTENT_TYPE, ...all }, { endStream: true });
    // A caller that is still sending its request is told to stop, without an error.
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #respond(): void {
    this.#stream.respond(
      { ":status": 200, "content-type": CONTENT_TYPE, [META.call]: this.#callId },
      { waitForTrailers: true },
    );
    this.#stream.once("wantTrailers", () => this.#stream.sendTrailers(this.#trailers));
  }
}

/** gRPC asks for the encodings that would have been understood. */
function extraTrailers(kind: string | undefined): OutgoingHttpHeaders {
  return kind === "encoding_unsupported" ? { "grpc-accept-encoding": ACCEPTED_ENCODINGS } : {};
}
