/**
 * The listener: takes each request through host check, routing, faults and its route, and turns what a route throws
 * into Ollama's error answers. Knows no route itself.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { sleep } from "@drover/platform";
import { performBreak } from "../fault-injection.ts";
import type { FaultPlan } from "../faults.ts";
import { errorTexts, OllamaError } from "../ollama-error.ts";
import type { OpenRecord } from "../request-log.ts";
import { ROUTES, type RouteEntry } from "../routes/table.ts";
import type { Exchange, Route, Simulation } from "../simulation.ts";
import { isHostAllowed, isOriginAllowed } from "./host-check.ts";
import { createReply, type Reply } from "./reply.ts";
import { readBody } from "./request-body.ts";

/** Endpoints that deal with breaking faults themselves, where the tokens are. */
const STREAMING = new Set(["generate", "chat", "embed", "embeddings"]);

const UNLOGGED: OpenRecord = { body: () => {}, phase: () => {}, chunk: () => {}, end: () => {} };

/** `simulation` is asked per request, because it needs the server itself for a crash. */
export function createOllamaServer(simulation: () => Simulation): Server {
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, noDelay: true }, (request, response) => {
    serve(request, response, simulation()).catch(() => response.destroy());
  });
  return server;
}

async function serve(request: IncomingMessage, response: ServerResponse, simulation: Simulation): Promise<void> {
  const arrivedAtMs = simulation.clock.nowMs();
  const method = request.method ?? "GET";
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const entry = ROUTES.get(path);
  const isOwn = entry !== undefined && entry.endpoint === undefined;
  const record = isOwn ? UNLOGGED : simulation.log.open(method, path, request.headers);
  let plan: FaultPlan | undefined;
  const reply = createReply({ response, record, clock: simulation.clock }, () => plan);
  if (!isWelcome(request)) return reply.empty(403);
  if (method === "OPTIONS") return reply.empty(204);
  if (entry === undefined) return reply.text(404, "404 page not found");
  const route = entry.methods[method];
  if (route === undefined) {
    return reply.text(405, "405 method not allowed", { Allow: Object.keys(entry.methods).join(", ") });
  }
  try {
    const body = method === "GET" || method === "HEAD" ? "" : await readBody(request);
    record.body(body);
    plan = simulation.faults.planFor(entry.endpoint, modelIn(body));
    await run(route, entry, { body, plan, reply, record, arrivedAtMs }, simulation);
  } catch (error) {
    answerError(error, reply);
  }
}

async function run(route: Route, entry: RouteEntry, exchange: Exchange, simulation: Simulation): Promise<void> {
  const { plan, reply, record } = exchange;
  const delay = plan.get("delay");
  if (delay !== undefined) await sleep(simulation.clock, delay.delayMs, reply.signal);
  const status = plan.get("status");
  if (status !== undefined) {
    record.end("fault", status.status);
    throw new OllamaError(status.status, status.message ?? textOf(status.status, modelIn(exchange.body)));
  }
  if (plan.breaking !== undefined && !STREAMING.has(entry.endpoint ?? "")) {
    const hands = { exchange, killRunner: () => {}, crash: simulation.crash };
    await performBreak(plan.breaking, hands, errorTexts.runnerStopped);
    return reply.empty(200);
  }
  await route(exchange, simulation);
}

function answerError(error: unknown, reply: Reply): void {
  if (reply.signal.aborted || reply.hasStarted()) return;
  if (error instanceof OllamaError) reply.json(error.status, { error: error.message });
  else reply.json(500, { error: error instanceof Error ? error.message : String(error) });
}

function isWelcome(request: IncomingMessage): boolean {
  const { host, origin } = request.headers;
  return isHostAllowed(host, request.socket.localAddress ?? "") && isOriginAllowed(origin, host);
}

function modelIn(body: string): string | undefined {
  return /"(?:model|name)"\s*:\s*"([^"\\]*)"/.exec(body.slice(0, 4096))?.[1] ?? lateModelIn(body);
}

/** For bodies that name the model after a long prompt. */
function lateModelIn(body: string): string | undefined {
  if (body.length <= 4096) return undefined;
  try {
    const { model } = JSON.parse(body) as { model?: unknown };
    return typeof model === "string" ? model : undefined;
  } catch {
    return undefined;
  }
}

function textOf(status: number, model: string | undefined): string {
  if (status === 503) return errorTexts.busy;
  if (status === 404) return `model '${model ?? ""}' not found`;
  if (status === 500) return errorTexts.runnerStopped;
  return `status ${status}`;
}
