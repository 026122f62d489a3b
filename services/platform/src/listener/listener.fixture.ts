/** For tests: a listener with a small inference service whose behaviour the model's name chooses. */
import { once } from "node:events";
import http2, { type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import net, { type Socket } from "node:net";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { systemClock } from "../clock.ts";
import { DroverError } from "../drover-error.ts";
import { HealthRegistry } from "../health-service.ts";
import { silentLogger } from "../log.ts";
import { reflectionRoutes } from "../reflection-service.ts";
import { type Listener, type ListenerOptions, openListener } from "./listener.ts";
import { abandonCall } from "./peer.ts";

export interface TestListener extends Listener {
  readonly port: number;
  readonly url: string;
  readonly health: HealthRegistry;
  /** Lets one more chunk out of each call to the model `gated`. */
  openGate(): void;
  /** Requests that reached a handler, by model. */
  readonly calls: string[];
  /** What handlers saw on their signal, by model. */
  readonly aborts: string[];
}

export async function openTestListener(
  options: Partial<ListenerOptions> = {},
  health = new HealthRegistry(),
): Promise<TestListener> {
  health.set("", true);
  const calls: string[] = [];
  const aborts: string[] = [];
  const waiting = new Set<() => void>();
  const chunk = (text: string) => ({ event: { case: "chunk" as const, value: { response: text } } });
  const listener = await openListener({
    listen: "127.0.0.1:0",
    isInsecureAllowed: false,
    allowHosts: [],
    corsOrigins: [],
    log: silentLogger,
    clock: systemClock,
    ...options,
    routes: (router) => {
      options.routes?.(router);
      health.routes(router);
      reflectionRoutes([InferenceService])(router);
      router.service(InferenceService, {
        async *generate(request, context) {
          calls.push(request.model);
          context.signal.addEventListener("abort", () => aborts.push(request.model), { once: true });
          if (request.model === "bad-header") context.responseHeader.set("keep-alive", "timeout=5");
          if (request.model === "fails" || request.model === "bad-header")
            throw new DroverError("no_node_available", "No node is free.", { retryAfterMs: 5 });
          if (request.model === "bug") throw new TypeError("secret detail");
          yield chunk(request.model === "long" ? "abc".repeat(20_000) : request.prompt);
          if (request.model === "fails-late") throw new DroverError("stream_broken", "Node a was lost.");
          if (request.model === "hangs") await once(context.signal, "abort");
          if (request.model === "abandons") {
            // Not before the window is full, and while the writer waits for it.
            systemClock.after(100, () => abandonCall(context.values));
            while (!context.signal.aborted) yield chunk("abc".repeat(20_000));
          }
          while (request.model === "gated") {
            await new Promise<void>((resolve) => waiting.add(resolve));
            yield chunk("more");
            break;
          }
        },
        embed: (request) => ({ model: request.model }),
      });
    },
  });
  const port = Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
  const openGate = (): void => {
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  return { ...listener, port, url: `http://${listener.address}`, health, openGate, calls, aborts };
}

/** One gRPC message in its frame. */
export function frame(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  /** HEADERS ended the stream: Trailers-Only. */
  readonly isTrailersOnly: boolean;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly resetCode: number;
}

/** One call over a session, as it is on the wire. */
export function rawCall(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Uint8Array = Buffer.alloc(0),
): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const fields = { ":method": "POST", "content-type": "application/grpc", te: "trailers", ...headers };
    // Node itself ends a GET, and one that is ended again tells nothing of its answer.
    const stream = session.request(fields, { endStream: false });
    const chunks: Buffer[] = [];
    let answer: Pick<RawAnswer, "headers" | "isTrailersOnly"> = { headers: {}, isTrailersOnly: false };
    let trailers: IncomingHttpHeaders = {};
    stream.on("response", (received, flags) => {
      answer = { headers: received, isTrailersOnly: (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0 };
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (data: Buffer) => chunks.push(data));
    stream.on("error", () => undefined);
    stream.on("close", () =>
      resolve({ ...answer, trailers, body: Buffer.concat(chunks), resetCode: stream.rstCode ?? 0 }),
    );
    stream.end(body);
  });
}

/** A plain connection, and all that comes back on it. */
export async function connectRaw(
  port: number,
): Promise<{ socket: Socket; received: () => string; closed: Promise<void> }> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (data: Buffer) => chunks.push(data));
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await once(socket, "connect");
  return { socket, received: () => Buffer.concat(chunks).toString("latin1"), closed };
}
