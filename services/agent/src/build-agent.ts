/** Opens the agent's doors to callers and operators, and stops it in order. It decides nothing about calls. */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  adminGuard,
  BoundedValues,
  createRpcInterceptor,
  type Listener,
  type OpsListener,
  openListener,
  openOpsListener,
  type PublishedState,
  type ReadinessReport,
  type Registrar,
  reflectionRoutes,
  sleep,
  startRegistration,
  type Telemetry,
} from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import type { NodeIdentity } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { type AgentDeps, type AgentParts, type AgentSettings, buildParts } from "./agent-parts.ts";
import { createAgentService } from "./api/agent-service.ts";
import { createInferenceService } from "./api/inference-service.ts";
import { nodeDraining } from "./api/node-draining.ts";
import type { StreamLimits } from "./ollama/ollama-stream.ts";
import { publishedNode } from "./registration/published-node.ts";
import type { RunnerSnapshot } from "./status/node-load.ts";

export interface Agent {
  /** `host:port` as really bound. */
  readonly address: string;
  readonly opsAddress: string | undefined;
  readonly identity: NodeIdentity;
  /** Takes no new calls, lets running ones end within the drain limit, then ends them. Callable once. */
  stop(): Promise<void>;
}

const READ_AHEAD_BYTES = 1024 * 1024;
const LONGEST_LINE_BYTES = 64 * 1024 * 1024;
const CALLER_STALL_TIMEOUT_MS = 30_000;

/** Starts the agent. Rejects with a ConfigError when a port cannot be opened. Ollama may be away: it is waited for. */
export async function buildAgent(settings: AgentSettings, deps: AgentDeps): Promise<Agent> {
  const parts = buildParts(settings, deps);
  const signals: StopSignals = { leaving: new AbortController(), ending: new AbortController() };
  // The first look at Ollama comes before the first call: whoever asks right after the start gets an answer about models.
  await parts.watch.start();
  try {
    const listener = await listen(settings, deps, parts, signals);
    const opsListener = await listenForOperators(settings, deps, parts).catch((error: unknown) => {
      listener.destroy();
      throw error;
    });
    // Not before it listens: where it may not, that alone is said.
    parts.watch.sayIfMissing();
    parts.directory.start();
    parts.loadedModels.start();
    observeQueue(deps.telemetry, parts.queue);
    const registration = register(settings, deps, parts, {
      address: listener.address,
      opsAddress: opsListener?.address,
    });
    const { drainLimitMs } = settings;
    const stop = (): Promise<void> =>
      stopAgent({ deps, parts, signals, listener, opsListener, registration, drainLimitMs });
    return { address: listener.address, opsAddress: opsListener?.address, identity: parts.identity, stop };
  } catch (error) {
    await stopWatching(parts);
    throw error;
  }
}

function listen(settings: AgentSettings, deps: AgentDeps, parts: AgentParts, signals: StopSignals): Promise<Listener> {
  const limits: StreamLimits = {
    firstTokenTimeoutMs: settings.firstTokenTimeoutMs,
    stallTimeoutMs: settings.stallTimeoutMs,
    callerStallTimeoutMs: CALLER_STALL_TIMEOUT_MS,
    readAheadBytes: READ_AHEAD_BYTES,
    lineLimitBytes: LONGEST_LINE_BYTES,
  };
  const node = { id: settings.nodeId, name: settings.name };
  const { numCtx, adminToken } = settings;
  const { telemetry, clock } = deps;
  const modelLabels = new BoundedValues();
  const inference = createInferenceService({ ...deps, ...parts, node, limits, numCtx, modelLabels });
  const agent = createAgentService({ ...deps, ...parts, stopSignal: signals.leaving.signal });
  const { drain, resume, loadModel, pullModel, unloadModel, deleteModel } = AgentService.method;
  const methods = [drain, resume, loadModel, pullModel, unloadModel, deleteModel];
  const reflection = reflectionRoutes([InferenceService, AgentService, Health]);
  return openListener({
    listen: settings.listen,
    isInsecureAllowed: settings.isInsecureAllowed,
    allowHosts: settings.allowHosts,
    corsOrigins: [],
    log: deps.log,
    clock: deps.clock,
    interceptors: [
      createRpcInterceptor({ telemetry, clock, except: [InferenceService.typeName] }),
      adminGuard(adminToken === undefined ? { methods } : { methods, token: adminToken }),
    ],
    shutdownSignal: signals.ending.signal,
    routes: (router) => {
      router.service(InferenceService, inference);
      router.service(AgentService, agent);
      parts.health.routes(router);
      reflection(router);
    },
  });
}

async function listenForOperators(
  settings: AgentSettings,
  { clock, log, telemetry }: AgentDeps,
  parts: AgentParts,
): Promise<OpsListener | undefined> {
  if (settings.opsListen === undefined) return undefined;
  const { isInsecureAllowed, allowHosts } = settings;
  return await openOpsListener({
    listen: settings.opsListen,
    isInsecureAllowed,
    allowHosts,
    readiness: () => readiness(parts),
    health: parts.health,
    metrics: telemetry.answerMetrics,
    clock,
    log,
  });
}

interface Addresses {
  readonly address: string;
  readonly opsAddress: string | undefined;
}

/** Publishes the node in Consul, where that is wanted, and follows what changes. */
function register(
  { nodeId: id, advertise, consul }: AgentSettings,
  deps: AgentDeps,
  { identity, directory, condition, client, changes }: AgentParts,
  addresses: Addresses,
): Registrar | undefined {
  if (consul === undefined) return undefined;
  const describe = (): PublishedState =>
    publishedNode({ identity, models: directory.list(), condition, ollamaUrl: client.displayUrl });
  const onMaintenance = (reason: string | undefined): void => {
    deps.log.info({ reason }, reason === undefined ? "maintenance ended in Consul" : "maintenance began in Consul");
    if (reason === undefined) condition.resume();
    else condition.drain(reason);
  };
  const registrar = startRegistration({
    ...deps,
    ...addresses,
    consul,
    service: "drover-agent",
    id,
    advertise,
    describe,
    onMaintenance,
  });
  changes.subscribe((part) => {
    if (part !== "load") registrar?.changed();
  });
  return registrar;
}

function readiness({ condition, client }: AgentParts): ReadinessReport {
  if (condition.isLeaving) {
    const detail = "the agent stops: it takes no new calls, and running ones end";
    return { isReady: false, dependencies: [{ name: "agent", isReady: false, detail }] };
  }
  const isReady = condition.isOllamaReachable;
  const detail = isReady
    ? `Ollama ${condition.ollamaVersion} answers at ${client.displayUrl}`
    : `Ollama does not answer at ${client.displayUrl}`;
  return { isReady, dependencies: [{ name: "ollama", isReady, detail }] };
}

function observeQueue(telemetry: Telemetry, queue: AgentParts["queue"]): void {
  telemetry.observe("queue", (tell) => tell(queue.snapshot().queued, {}));
  telemetry.observe("slots", (tell) => {
    const { runners } = queue.snapshot();
    const loaded = runners.filter(({ state }) => state !== "loading");
    const sum = (read: (runner: RunnerSnapshot) => number): number =>
      loaded.reduce((total, runner) => total + read(runner), 0);
    tell(
      sum(({ active, cooling }) => active - cooling),
      { state: "running" },
    );
    tell(
      sum(({ cooling }) => cooling),
      { state: "cooling" },
    );
    tell(
      sum(({ slots, active }) => Math.max(0, slots - active)),
      { state: "free" },
    );
  });
}

/** How a stop reaches what runs. */
interface StopSignals {
  /** The agent takes its leave: routers get a last status, and their streams end. */
  readonly leaving: AbortController;
  /** Its patience is over: running calls end. */
  readonly ending: AbortController;
}

interface StopParts {
  readonly deps: AgentDeps;
  readonly parts: AgentParts;
  readonly signals: StopSignals;
  readonly listener: Listener;
  readonly opsListener: OpsListener | undefined;
  readonly registration: Registrar | undefined;
  readonly drainLimitMs: number;
}

async function stopAgent({ deps, parts, signals, listener, ...rest }: StopParts): Promise<void> {
  const { opsListener, registration, drainLimitMs } = rest;
  const limit = sleep(deps.clock, drainLimitMs);
  parts.condition.leave();
  parts.health.shutdown();
  // Who waits can wait elsewhere; who has a slot may finish.
  parts.queue.close(nodeDraining(parts.identity.name));
  const { count: calls } = parts.calls;
  if (calls > 0)
    deps.log.info({ calls, limitMs: drainLimitMs }, "stopping: running calls may end; a second signal ends them now");
  // Until then routers keep their Attach streams: they see a node that drains, not one that is gone.
  await Promise.race([parts.calls.idle(), limit]);
  signals.leaving.abort();
  // What callers have not read yet.
  await Promise.race([listener.drain(), limit]);
  signals.ending.abort(new ConnectError("The agent stops.", Code.Unavailable));
  listener.destroy();
  // Consul is told last: while answers run the node is there, in maintenance.
  await registration?.stop();
  opsListener?.close();
  await stopWatching(parts);
}

async function stopWatching({ client, watch, directory, loadedModels }: AgentParts): Promise<void> {
  const stopped = Promise.all([watch.stop(), directory.stop(), loadedModels.stop()]);
  // What is being read fails at once, instead of holding the stop.
  await client.close();
  await stopped;
}
