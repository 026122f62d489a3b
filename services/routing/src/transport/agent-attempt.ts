/**
 * One stream to an agent: sends the request's bytes, reports whole messages and one end. It holds back the tail of an
 * unfinished message, so that an agent that dies mid-message never leaves a caller with half of one.
 */
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { DroverError, META } from "@drover/platform";
import type { Attempt, AttemptEnd, AttemptListener, AttemptRequest } from "./attempt.ts";
import { FrameScanner, withoutEmptyMessages } from "./frame-scanner.ts";
import type { PooledConnection } from "./pooled-connection.ts";
import type { SessionPool } from "./session-pool.ts";
import { brokenStreamError, notGrpcError, unsentRequestError } from "./transport-error.ts";

/** An answer's largest message: an embedding of 2,048 texts is 32 MiB. Agents are ours, so this guards against the others. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export class AgentAttempt implements Attempt {
  /** Undefined once it was sent: the body is large, and dispatch decides how long it is held. */
  #request: AttemptRequest | undefined;
  readonly #listener: AttemptListener;
  readonly #scanner = new FrameScanner();
  #stream: ClientHttp2Stream | undefined;
  #tail: Uint8Array[] = [];
  #tailBytes = 0;
  #trailers: IncomingHttpHeaders | undefined;
  #error: unknown;
  #isPaused = false;
  #hasEnded = false;

  constructor(pool: SessionPool, request: AttemptRequest, listener: AttemptListener) {
    this.#request = request;
    this.#listener = listener;
    // Deferred, so that nothing is reported before the caller holds this attempt.
    queueMicrotask(() => {
      if (!this.#hasEnded) pool.acquire(request.endpoint, (connection, error) => this.#start(connection, error));
    });
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream?.resume();
  }

  cancel(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#request = undefined;
    this.#tail = [];
    this.#stream?.close(constants.NGHTTP2_CANCEL);
  }

  #start(connection: PooledConnection | undefined, error: unknown): void {
    const request = this.#request;
    this.#request = undefined;
    if (this.#hasEnded || request === undefined) return;
    if (connection === undefined) return this.#end({ kind: "broken", error: brokenStreamError({ error }) });
    let stream: ClientHttp2Stream;
    try {
      stream = connection.request(requestHeaders(request));
    } catch (cause) {
      return this.#end({ kind: "broken", error: unsentRequestError(cause) });
    }
    this.#stream = stream;
    // For the whole life of the stream: an `error` that nobody hears ends the process.
    stream.on("error", (cause) => {
      this.#error = cause;
    });
    stream.on("response", (headers, flags) => this.#onResponse(headers, flags));
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("end", () => this.#onReadEnd());
    stream.on("close", () => this.#onClose());
    if (this.#isPaused) stream.pause();
    stream.end(request.body);
  }

  #onResponse(headers: IncomingHttpHeaders, flags: number): void {
    // Trailers-Only. `endAfterHeaders` stays false on the client's side; only the flag tells.
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#trailers = headers;
    if (headers[META.grpcStatus] !== undefined) return;
    const status = Number(headers[":status"] ?? 0);
    const contentType = headers["content-type"];
    if (status !== 200 || contentType?.startsWith("application/grpc") !== true) {
      this.#fail(notGrpcError(status, contentType));
    }
  }

  /** The hot path: no allocation when a chunk consists of whole messages, which is nearly always. */
  #onData(chunk: Buffer): void {
    if (this.#hasEnded) return;
    const scanner = this.#scanner;
    const emptyBefore = scanner.emptyMessages;
    const whole = scanner.push(chunk);
    if (scanner.isCompressed)
      return this.#fail(
        new DroverError("node_protocol_error", "The node sent a compressed message that nobody asked for."),
      );
    if (whole > 0) {
      const frames = this.#takeTail(chunk, whole);
      const messages = scanner.emptyMessages === emptyBefore ? frames : withoutEmptyMessages(frames);
      if (messages.length > 0) this.#listener.onMessages(messages, scanner);
    }
    if (whole < chunk.length && !this.#hasEnded) this.#keepTail(whole === 0 ? chunk : chunk.subarray(whole));
  }

  #takeTail(chunk: Buffer, whole: number): Uint8Array {
    const head = whole === chunk.length ? chunk : chunk.subarray(0, whole);
    if (this.#tailBytes === 0) return head;
    const frames = Buffer.concat([...this.#tail, head]);
    this.#tail = [];
    this.#tailBytes = 0;
    return frames;
  }

  #keepTail(bytes: Uint8Array): void {
    this.#tail.push(bytes);
    this.#tailBytes += bytes.length;
    if (this.#tailBytes + this.#scanner.bytesLeft > MESSAGE_BYTES_MAX) {
      this.#fail(new DroverError("node_protocol_error", "The node sent a message over 64 MiB."));
    }
  }

  /** All data was read. After a reset there are no trailers either: then `close` says what broke. */
  #onReadEnd(): void {
    if (this.#trailers === undefined) {
      if (this.#stream?.rstCode === constants.NGHTTP2_NO_ERROR && !this.#stream.destroyed) {
        this.#fail(new DroverError("node_protocol_error", "The node ended its answer without a gRPC status."));
      }
      return;
    }
    if (this.#scanner.isAtBoundary) return this.#end({ kind: "answered", trailers: this.#trailers });
    this.#fail(new DroverError("node_protocol_error", "The node ended its answer within a message."));
  }

  /** Every stream closes, and an error with its stack costs more than the rest of a short one: made only for what broke. */
  #onClose(): void {
    if (!this.#hasEnded) this.#end({ kind: "broken", error: this.#brokenError() });
  }

  #brokenError(): DroverError {
    const rstCode = this.#stream?.rstCode;
    return brokenStreamError({ error: this.#error, ...(rstCode === undefined || rstCode === 0 ? {} : { rstCode }) });
  }

  #fail(error: DroverError): void {
    this.#end({ kind: "broken", error });
    this.#stream?.close(constants.NGHTTP2_CANCEL);
  }

  #end(end: AttemptEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#tail = [];
    this.#listener.onEnd(end);
  }
}

function requestHeaders(request: AttemptRequest): Record<string, number | string | string[] | undefined> {
  return {
    ...request.headers,
    ":method": "POST",
    ":path": request.path,
    "content-type": "application/grpc+proto",
    te: "trailers",
    // Compressed messages would hide their tags from the scanner.
    "grpc-accept-encoding": "identity",
  };
}
