/**
 * One port for all that callers speak: gRPC over HTTP/2 in clear text, and Connect or gRPC-Web over HTTP/2 and HTTP/1.1. Owns
 * sockets and protocols; what a call means is with the routes and the relay that it is given.
 */
import type http from "node:http";
import net from "node:net";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { ByteBudget, REQUEST_BODIES_BYTES } from "../byte-budget.ts";
import type { Clock } from "../clock.ts";
import { isLoopbackHost } from "../host-port.ts";
import type { Logger } from "../log.ts";
import { bindSocket } from "./bind.ts";
import { createConnectHandler } from "./connect-handler.ts";
import { ConnectionCount } from "./connection-count.ts";
import { answerPlainly, type NodeHandler } from "./http-answers.ts";
import { createHttpGuard } from "./http-guard.ts";
import { createHttp1, createHttp2, type DrainState, type RelayRoute } from "./http-sides.ts";
import { LISTENER_LIMITS, type ListenerLimits } from "./limits.ts";
import { SessionSet } from "./session-set.ts";
import { createSniffer, type Sniffer } from "./sniffer.ts";

export interface ListenerOptions {
  /** `host:port`; port 0 lets the system choose. */
  readonly listen: string;
  /** Named in errors about the address; default `--listen`. */
  readonly flag?: string;
  /** Lets a listener without TLS stand on another address than loopback. */
  readonly isInsecureAllowed: boolean;
  /** Host names beside localhost and IP addresses that HTTP/1.1 callers may name; on other addresses than loopback the only ones. */
  readonly allowHosts: readonly string[];
  /** Origins of web pages that may call, or `*`. */
  readonly corsOrigins: readonly string[];
  readonly routes: (router: ConnectRouter) => void;
  /** Answers what is no method of the routes: pages for people and probes. */
  readonly otherPaths?: NodeHandler;
  readonly interceptors?: readonly Interceptor[];
  readonly relay?: RelayRoute;
  readonly log: Logger;
  readonly clock: Clock;
  readonly limits?: Partial<ListenerLimits>;
  /** Shared with the relay where there is one; by default 512 MiB of this listener's own. */
  readonly requestBodies?: ByteBudget;
  /** Aborting it aborts the signal of every running connect handler, with its reason. */
  readonly shutdownSignal?: AbortSignal;
}

export interface Listener {
  /** `host:port` as really bound. */
  readonly address: string;
  /** Takes no new calls, tells HTTP/2 callers (GOAWAY), and resolves when the last stream has ended. Callable more than once. */
  drain(): Promise<void>;
  /** Ends all connections now. */
  destroy(): void;
}

/** Opens the port. Rejects with a ConfigError: a taken port, an unknown address, another address than loopback without --insecure. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits = { ...LISTENER_LIMITS, ...options.limits };
  const front = net.createServer({ noDelay: true });
  front.maxConnections = limits.maxConnections;
  const bound = await bindSocket(front, {
    listen: options.listen,
    isInsecureAllowed: options.isInsecureAllowed,
    flag: options.flag ?? "--listen",
  });
  const state: DrainState = { isDraining: false };
  const sessions = new SessionSet({ clock: options.clock, pingIntervalMs: limits.pingIntervalMs });
  const handler = guarded(
    createConnectHandler({
      interceptors: [],
      requestBodies: new ByteBudget(REQUEST_BODIES_BYTES),
      readMaxBytes: limits.readMaxBytes,
      ...options,
    }),
    options,
    bound.host,
  );
  const h1 = createHttp1(handler, limits, state);
  const h2 = createHttp2(handler, { limits, relay: options.relay, log: options.log, clock: options.clock });
  h2.on("session", (session) => sessions.add(session));
  const sniffer = createSniffer({
    clock: options.clock,
    timeoutMs: limits.sniffTimeoutMs,
    onHttp2: (socket) => h2.emit("connection", socket),
    onHttp1: (socket) => h1.emit("connection", socket),
  });
  const count = new ConnectionCount(limits.maxConnectionsPerAddress);
  front.on("connection", (socket) => {
    if (count.admit(socket)) sniffer.sniff(socket);
    else socket.on("error", () => undefined).destroy();
  });
  front.on("error", (error) => options.log.error({ err: error }, "the listening socket failed"));
  return createHandle({ address: bound.address, front, h1, sessions, sniffer, state });
}

interface Parts {
  readonly address: string;
  readonly front: net.Server;
  readonly h1: http.Server;
  readonly sessions: SessionSet;
  readonly sniffer: Sniffer;
  readonly state: DrainState;
}

function createHandle({ address, front, h1, sessions, sniffer, state }: Parts): Listener {
  let ended: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    if (ended !== undefined) return ended;
    state.isDraining = true;
    ended = new Promise((resolve) => {
      front.close(() => {
        // Only now: it stops the timeouts that bound the last requests.
        h1.close(() => undefined);
        resolve();
      });
    });
    sniffer.closePending();
    h1.closeIdleConnections();
    sessions.goAway();
    return ended;
  };
  const destroy = (): void => {
    drain().catch(() => undefined);
    sniffer.closePending();
    h1.closeAllConnections();
    sessions.destroy();
  };
  return { address, drain, destroy };
}

/** The handler behind the Host check and CORS. */
function guarded(handler: NodeHandler, options: ListenerOptions, boundHost: string): NodeHandler {
  const { allowHosts, corsOrigins } = options;
  const guard = createHttpGuard({ isLoopbackListener: isLoopbackHost(boundHost), allowHosts, corsOrigins });
  return (request, response) => {
    const result = guard({ httpVersion: request.httpVersion, method: request.method ?? "", headers: request.headers });
    for (const [name, value] of Object.entries(result.headers)) response.setHeader(name, value);
    if (result.kind === "pass") handler(request, response);
    else answerPlainly(response, result.status, result.text);
  };
}
