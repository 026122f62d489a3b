/**
 * A router's side of the wire for tests: a real HTTP/2 server on 127.0.0.1 that does with each stream what the test says. It answers
 * grpc.health.v1 with SERVING by itself.
 */
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import net from "node:net";

export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => unknown;

export interface Http2Router {
  readonly url: string;
  /** All connections that were ever made, in order. */
  readonly sessions: readonly ServerHttp2Session[];
  /** Headers of all calls that ever came, in order. */
  readonly calls: readonly IncomingHttpHeaders[];
  close(): Promise<void>;
}

export async function openHttp2Router(
  handler: StreamHandler = answerServing,
  options: http2.ServerOptions = {},
  port = 0,
): Promise<Http2Router> {
  const server = http2.createServer(options);
  const sessions: ServerHttp2Session[] = [];
  const calls: IncomingHttpHeaders[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", ignore);
  });
  server.on("sessionError", ignore);
  server.on("stream", (stream, headers) => {
    calls.push(headers);
    stream.on("error", ignore);
    void handler(stream, headers);
  });
  await listen(server, port);
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    sessions,
    calls,
    close: async () => {
      for (const session of sessions) if (!session.destroyed) session.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const HEADERS = { ":status": 200, "content-type": "application/grpc" };
/** HealthCheckResponse{status: SERVING} as a gRPC message. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

export function answerServing(stream: ServerHttp2Stream): void {
  sendServing(stream);
  stream.end();
}

/** One message; the stream stays open, and ends well when the test ends it. */
export function sendServing(stream: ServerHttp2Stream): void {
  stream.respond(HEADERS, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.write(SERVING);
}

/** A true Trailers-Only answer. */
export function answerStatus(stream: ServerHttp2Stream, trailers: Readonly<Record<string, string>>): void {
  stream.respond({ ...HEADERS, ...trailers }, { endStream: true });
}

/** A port that accepts connections and does with each what the test says. */
export async function openRawPort(onConnection: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", ignore);
    socket.resume();
    onConnection(socket);
  });
  await listen(server, 0);
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    sockets,
    close: async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** An address at which nothing listens. */
export async function closedUrl(): Promise<string> {
  const port = await openRawPort(ignore);
  await port.close();
  return port.url;
}

function listen(server: net.Server | http2.Http2Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
}

function portOf(server: net.Server | http2.Http2Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen");
  return address.port;
}

function ignore(): void {
  // What follows does the work.
}
