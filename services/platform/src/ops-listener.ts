/**
 * The private port of operators: `/healthz` (alive), `/readyz` (may be sent work, and what it depends on), `/metrics` when given.
 * It reports; it decides nothing.
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { isLoopbackHost } from "./host-port.ts";
import { bindSocket } from "./listener/bind.ts";
import { createHttpGuard } from "./listener/http-guard.ts";
import type { Logger } from "./log.ts";

export interface Dependency {
  readonly name: string;
  readonly isReady: boolean;
  /** Plain words for an operator: what is missing and since when. */
  readonly detail: string;
}

export interface ReadinessReport {
  readonly isReady: boolean;
  readonly dependencies: readonly Dependency[];
}

export interface OpsListenerOptions {
  /** `host:port`; another address than loopback needs `isInsecureAllowed`. */
  readonly listen: string;
  readonly isInsecureAllowed: boolean;
  readonly allowHosts?: readonly string[];
  readonly readiness: () => ReadinessReport;
  /** Answers GET /metrics. */
  readonly metrics?: (request: IncomingMessage, response: ServerResponse) => void;
  readonly log: Logger;
}

export interface OpsListener {
  readonly address: string;
  close(): Promise<void>;
}

/** Scrapers and probes are few; more connections are closed unread. */
const MAX_CONNECTIONS = 100;

export async function openOpsListener(options: OpsListenerOptions): Promise<OpsListener> {
  const server = http.createServer({ headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 30_000 });
  server.maxConnections = MAX_CONNECTIONS;
  const { listen, isInsecureAllowed } = options;
  const bound = await bindSocket(server, { listen, isInsecureAllowed, flag: "--ops-listen" });
  const guard = createHttpGuard({
    isLoopbackListener: isLoopbackHost(bound.host),
    allowHosts: options.allowHosts ?? [],
    corsOrigins: [],
  });
  server.on("error", (error) => options.log.error({ err: error }, "the operators' listening socket failed"));
  server.on("request", (request, response) => {
    response.on("error", () => undefined);
    const guarded = guard({ httpVersion: request.httpVersion, method: request.method ?? "", headers: request.headers });
    if (guarded.kind === "answer") send(response, guarded.status, guarded.text);
    else answer(options, request, response);
  });
  return { address: bound.address, close: () => close(server) };
}

function answer(options: OpsListenerOptions, request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split("?", 1)[0];
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response.setHeader("allow", "GET, HEAD"), 405, "Only GET and HEAD here.\n");
  } else if (path === "/healthz") {
    sendJson(response, 200, { status: "ok" });
  } else if (path === "/readyz") {
    const report = options.readiness();
    sendJson(response, report.isReady ? 200 : 503, report);
  } else if (path === "/metrics" && options.metrics !== undefined) {
    options.metrics(request, response);
  } else {
    send(response, 404, `Here are /healthz, /readyz${options.metrics === undefined ? "" : ", /metrics"}.\n`);
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body, undefined, 2)}\n`);
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}

/** Nothing here is worth waiting for: probes come again. */
function close(server: http.Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
