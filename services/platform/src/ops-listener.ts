/**
 * The private port of operators: `/healthz` (alive), `/readyz` (may be sent work, and what it depends on), `/metrics` when given,
 * and grpc.health.v1 for who asks in gRPC (Consul does). It reports; it decides nothing.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import type { Clock } from "./clock.ts";
import type { HealthRegistry } from "./health-service.ts";
import { answerPlainly, answerUnknownPath, type NodeHandler } from "./listener/http-answers.ts";
import { openListener } from "./listener/listener.ts";
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
  readonly health: HealthRegistry;
  /** Answers GET /metrics. */
  readonly metrics?: (request: IncomingMessage, response: ServerResponse) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OpsListener {
  readonly address: string;
  /** Nothing here is worth waiting for: probes come again. */
  close(): void;
}

/** Scrapers and probes are few; more connections are closed unread. */
const MAX_CONNECTIONS = 100;

export async function openOpsListener(options: OpsListenerOptions): Promise<OpsListener> {
  const { listen, isInsecureAllowed, allowHosts = [], health, clock, log } = options;
  const listener = await openListener({
    listen,
    flag: "--ops-listen",
    isInsecureAllowed,
    allowHosts,
    corsOrigins: [],
    routes: (router) => health.routes(router),
    otherPaths: pages(options),
    limits: { maxConnections: MAX_CONNECTIONS },
    clock,
    log,
  });
  return { address: listener.address, close: () => listener.destroy() };
}

type NodeRequest = Parameters<NodeHandler>[0];
type NodeResponse = Parameters<NodeHandler>[1];

function pages({ readiness, metrics }: OpsListenerOptions): NodeHandler {
  const answerUnknownMethod = answerUnknownPath([Health.typeName]);
  return (request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (isGrpc(request)) {
      answerUnknownMethod(request, response);
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      answerPlainly(response, 405, "Only GET and HEAD here.\n");
    } else if (path === "/healthz") {
      answerJson(response, 200, { status: "ok" });
    } else if (path === "/readyz") {
      const report = readiness();
      answerJson(response, report.isReady ? 200 : 503, report);
    } else if (path === "/metrics" && metrics !== undefined) {
      metrics(request as IncomingMessage, response as ServerResponse);
    } else {
      answerPlainly(response, 404, `Here are /healthz, /readyz${metrics === undefined ? "" : ", /metrics"}.\n`);
    }
  };
}

function isGrpc(request: NodeRequest): boolean {
  return request.headers["content-type"]?.startsWith("application/grpc") === true;
}

function answerJson(response: NodeResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.end(`${JSON.stringify(body, undefined, 2)}\n`);
}
