/**
 * The few HTTP/2 connections to one router, as connect-node asks for them: one as long as it has room for another stream, then
 * further ones up to a bound; a new one when the last was lost or is closing.
 */
import type { ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { createGrpcTransport } from "@connectrpc/connect-node";
import { type ConnectionOptions, Http2Connection } from "./http2-connection.ts";
import { NotSentError } from "./not-sent-error.ts";

/** What connect-node asks of connections; it exports no name for it. */
type SessionManager = NonNullable<Parameters<typeof createGrpcTransport>[0]["sessionManager"]>;

/** A router takes 1,000 streams on each; what is beyond them all waits in Node for one to end. */
const CONNECTIONS_MAX = 4;
/** A connection may begin to close just before it is used, and a new one have been filled by others; not again and again. */
const TRIES_MAX = CONNECTIONS_MAX + 4;

export class RouterConnections implements SessionManager {
  readonly authority: string;
  readonly #options: ConnectionOptions;
  /** Those that are closing included. */
  #connections: readonly Http2Connection[] = [];
  #isClosed = false;

  constructor(origin: string, options: ConnectionOptions) {
    this.authority = origin;
    this.#options = options;
  }

  /** Rejects with a NotSentError where there is no connection. */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const connection = this.#choose();
      await connection.ready;
      await connection.verified();
      if (!connection.hasRoom && !this.#isFull) continue;
      const stream = connection.request({ ...headers, ":method": method, ":path": path }, options);
      if (stream !== undefined) return stream;
    }
    throw new NotSentError("every connection was closing");
  }

  notifyResponseByteRead(): void {
    // A PING every 20 s is cheaper than a look at the clock for each token.
  }

  retire(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.retire();
  }

  close(): void {
    this.#isClosed = true;
    const error = new ConnectError("The client was closed.", Code.Canceled);
    for (const connection of this.#connections) connection.close(error);
  }

  get #isFull(): boolean {
    return this.#connections.filter(({ isUsable }) => isUsable).length >= CONNECTIONS_MAX;
  }

  #choose(): Http2Connection {
    if (this.#isClosed) throw new NotSentError("it is used no more");
    // One that is closing still has calls that run, and close() must find it.
    this.#connections = this.#connections.filter(({ isGone }) => !isGone);
    const usable = this.#connections.filter(({ isUsable }) => isUsable);
    const withRoom = usable.find(({ hasRoom }) => hasRoom);
    if (withRoom !== undefined) return withRoom;
    if (this.#isFull) return usable.reduce((least, each) => (each.streams < least.streams ? each : least));
    const opened = new Http2Connection(this.authority, this.#options);
    this.#connections = [...this.#connections, opened];
    return opened;
  }
}
