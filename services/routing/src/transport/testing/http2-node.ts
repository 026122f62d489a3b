/**
 * The node's side of the wire: a real HTTP/2 server on 127.0.0.1 that does with each stream what the test says, and knows
 * its connections so that the test can break them.
 */
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import net from "node:net";

export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => unknown;

export class Http2Node {
  readonly endpoint: string;
  /** All connections that were ever made, in order. */
  readonly sessions: ServerHttp2Session[] = [];
  /** All streams that were ever opened, in order. */
  readonly streams: ServerHttp2Stream[] = [];
  readonly #server: http2.Http2Server;

  private constructor(server: http2.Http2Server, handler: StreamHandler) {
    this.#server = server;
    this.endpoint = endpointOf(server);
    server.on("session", (session) => {
      this.sessions.push(session);
      session.on("error", ignore);
    });
    server.on("sessionError", ignore);
    server.on("stream", (stream, headers) => {
      this.streams.push(stream);
      stream.on("error", ignore);
      void handler(stream, headers);
    });
  }

  static async open(handler: StreamHandler, options: http2.ServerOptions = {}, port = 0): Promise<Http2Node> {
    const server = http2.createServer(options);
    await listen(server, port);
    return new Http2Node(server, handler);
  }

  /** Ends every connection at once, without a word. */
  killSockets(): void {
    for (const session of this.sessions) session.socket?.destroy();
  }

  async close(): Promise<void> {
    for (const session of this.sessions) if (!session.destroyed) session.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** A port that accepts connections and does with each what the test says. */
export async function openRawPort(onConnection: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", ignore);
    // Unread, it would never see the other side's end.
    socket.resume();
    onConnection(socket);
  });
  await listen(server);
  return {
    endpoint: endpointOf(server),
    sockets,
    close: async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** An endpoint at which nothing listens. */
export async function closedEndpoint(): Promise<string> {
  const port = await openRawPort(ignore);
  await port.close();
  return port.endpoint;
}

function listen(server: net.Server | http2.Http2Server, port = 0): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
}

function endpointOf(server: net.Server | http2.Http2Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen");
  return `127.0.0.1:${address.port}`;
}

function ignore(): void {
  // "close" follows and does the work.
}
