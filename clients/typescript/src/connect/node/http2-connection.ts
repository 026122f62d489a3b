/**
 * One HTTP/2 connection to a router, from its first packet to its end.
 *
 * It takes the place of what is in connect-node's own session manager, which takes its `error` listener off a connection before
 * that is done (a later error then ends the process), pings connections that are closing, waits for ever for one that is not
 * accepted, and opens streams before the other side has said how many it takes.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from "node:http2";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../clock.ts";
import { NotSentError } from "./not-sent-error.ts";
import { openSocket } from "./open-socket.ts";

export interface ConnectionLimits {
  /** Until the other side has said its first word: TCP, TLS and HTTP/2's SETTINGS. Default 5 s. */
  readonly connectTimeoutMs: number;
  /** While calls run, and before a call on a connection that was idle for as long. Default 20 s, gRPC's A8 has 10 s as the least. */
  readonly pingIntervalMs: number;
  /** A connection that leaves a PING unanswered for so long is dead: gRPC's default of 20 s. */
  readonly pingTimeoutMs: number;
  /** As `pingTimeoutMs`, where a call waits for the answer on a connection that was idle. Default 5 s. */
  readonly verifyTimeoutMs: number;
  /** A connection without calls is closed after this. Default 5 minutes. */
  readonly idleTimeoutMs: number;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  connectTimeoutMs: 5_000,
  pingIntervalMs: 20_000,
  pingTimeoutMs: 20_000,
  verifyTimeoutMs: 5_000,
  idleTimeoutMs: 300_000,
};

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly limits: ConnectionLimits;
  readonly tls: SecureClientSessionOptions;
}

const SESSION_OPTIONS: SecureClientSessionOptions = {
  // The default of 10 MB ends the whole connection once a few hundred streams are read slowly.
  maxSessionMemory: Number.MAX_SAFE_INTEGER,
  settings: { enablePush: false, initialWindowSize: 1 << 20 },
};

const CLEAR_CLOSED = "it closed the connection before a word of HTTP/2 (is it https there, or no router?)";
const TLS_CLOSED =
  "it closed the connection before a word of HTTP/2 (is it no router, or does it want another certificate of the client, tls.cert and tls.key?)";

export class Http2Connection {
  /** Resolves when it takes streams, rejects with a NotSentError when it never will. */
  readonly ready: Promise<void>;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #isTls: boolean;
  readonly #options: ConnectionOptions;
  #streams = 0;
  #usedMs: number;
  #isReady = false;
  /** Of the other side's GOAWAY: streams above it were never looked at. */
  #lastStreamId = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #verifying: Promise<void> | undefined;

  constructor(origin: string, options: ConnectionOptions) {
    this.#options = options;
    this.#usedMs = options.clock.nowMs();
    this.#isTls = origin.startsWith("https:");
    this.#socket = openSocket(origin, options.tls);
    this.#session = connect(origin, { ...SESSION_OPTIONS, createConnection: () => this.#socket });
    this.ready = this.#open();
    // Nobody may be waiting any more when it fails.
    this.ready.catch(ignore);
  }

  /** False once either side began to close it. */
  get isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  get isGone(): boolean {
    return this.#session.destroyed;
  }

  /** Another stream would not have to wait for one to end. */
  get hasRoom(): boolean {
    return this.#streams < (this.#session.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY);
  }

  get streams(): number {
    return this.#streams;
  }

  /** Resolves when it is known to be alive: at once while it is used, after a PING when it was idle. Never rejects. */
  async verified(): Promise<void> {
    const { clock, limits } = this.#options;
    if (this.#streams > 0 || clock.nowMs() - this.#usedMs < limits.pingIntervalMs) return;
    this.#verifying ??= this.#ping(limits.verifyTimeoutMs).finally(() => {
      this.#verifying = undefined;
    });
    await this.#verifying;
  }

  /** Undefined when it began to close in the meantime. */
  request(headers: OutgoingHttpHeaders, options: ClientSessionRequestOptions): ClientHttp2Stream | undefined {
    if (!this.isUsable) return undefined;
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request(headers, options);
    } catch (error) {
      if (!this.isUsable) return undefined;
      throw error;
    }
    this.#count(stream);
    // Before connect's own listener: what it reads must say already that the stream never ran.
    stream.on("error", (error) => {
      if (this.#neverRan(stream))
        error.cause = new NotSentError("the router took no more streams", { cause: error.cause });
    });
    return stream;
  }

  /** Takes no more streams; closes when those that run have ended. */
  retire(): void {
    if (this.isUsable) this.#session.close();
  }

  close(error: Error): void {
    const isClosing = this.#session.closed;
    if (!this.#session.destroyed) this.#session.destroy(error, constants.NGHTTP2_CANCEL);
    // It would wait for the other side to close first.
    if (isClosing) this.#socket.destroy();
  }

  #open(): Promise<void> {
    const { clock, limits } = this.#options;
    const session = this.#session;
    const opened = Promise.withResolvers<void>();
    const timer = clock.after(limits.connectTimeoutMs, () => {
      session.destroy(Object.assign(new Error("connect timeout"), { code: "ETIMEDOUT" }));
    });
    let failure: unknown;
    // All for the whole life of the connection: errors come late, too.
    session.on("error", (error) => {
      failure = error;
    });
    session.on("goaway", (_code, lastStreamId) => {
      this.#lastStreamId = lastStreamId;
    });
    session.on("close", () => {
      timer.cancel();
      this.#timer?.cancel();
      opened.reject(new NotSentError(this.#isTls ? TLS_CLOSED : CLEAR_CLOSED, { cause: failure }));
    });
    session.once("remoteSettings", () => {
      timer.cancel();
      this.#isReady = true;
      this.#watch();
      this.#hold();
      opened.resolve();
    });
    return opened.promise;
  }

  #count(stream: ClientHttp2Stream): void {
    this.#streams += 1;
    this.#hold();
    stream.once("close", () => {
      this.#streams -= 1;
      this.#usedMs = this.#options.clock.nowMs();
      this.#hold();
    });
  }

  /** An idle connection does not keep a process alive that has nothing else to do. */
  #hold(): void {
    if (this.#session.destroyed || !this.#isReady) return;
    if (this.#streams > 0) this.#session.ref();
    else this.#session.unref();
  }

  #neverRan({ id, rstCode }: ClientHttp2Stream): boolean {
    // Without an id it still waited in Node for its turn.
    return id === undefined || rstCode === constants.NGHTTP2_REFUSED_STREAM || id > this.#lastStreamId;
  }

  #watch(): void {
    const { clock, limits } = this.#options;
    this.#timer = clock.after(limits.pingIntervalMs, () => {
      if (!this.isUsable && this.#streams === 0) return;
      const isIdle = this.#streams === 0 && clock.nowMs() - this.#usedMs >= limits.idleTimeoutMs;
      if (isIdle) return this.#session.close();
      if (this.#streams > 0) void this.#ping(limits.pingTimeoutMs);
      this.#watch();
    });
    this.#timer.unref?.();
  }

  /** Ends the connection where no answer comes. On one that is closing a PING tells nothing: it fails although the peer lives. */
  #ping(timeoutMs: number): Promise<void> {
    if (!this.isUsable) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(timeoutMs, () => {
        this.close(Object.assign(new Error("no answer to a PING"), { code: "ETIMEDOUT" }));
        resolve();
      });
      const isSent = this.#session.ping(() => {
        timer.cancel();
        resolve();
      });
      if (!isSent) {
        timer.cancel();
        resolve();
      }
    });
  }
}

function ignore(): void {
  // Whoever waits is told.
}
