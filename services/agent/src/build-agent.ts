/**
 * Puts the agent together from its rooms and takes it apart again. The only file that sees all of them; it decides nothing
 * about calls.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  adminGuard,
  type Clock,
  HealthRegistry,
  type Labels,
  type Listener,
  type Logger,
  type OpsListener,
  openListener,
  openOpsListener,
  type ReadinessReport,
  randomId,
  reflectionRoutes,
  sleep,
} from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { type NodeIdentity, NodeIdentitySchema } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { createAgentService } from "./api/agent-service.ts";
import { createInferenceService } from "./api/inference-service.ts";
import { LoadedModels } from "./models/loaded-models.ts";
import { ModelDirectory } from "./models/model-directory.ts";
import { OllamaWatch } from "./models/ollama-watch.ts";
import { OllamaClient } from "./ollama/ollama-client.ts";
import type { StreamLimits } from "./ollama/ollama-stream.ts";
import { AdmissionQueue } from "./queue/admission-queue.ts";
import { createRunnerLoader } from "./queue/runner-loader.ts";
import { noRegistration } from "./registration/registration.ts";
import { AttachedRouters } from "./status/attached-routers.ts";
import { buildModelInventory } from "./status/model-inventory.ts";
import { NodeCondition } from "./status/node-condition.ts";
import { buildNodeLoad } from "./status/node-load.ts";
import { createStatusChanges } from "./status/status-changes.ts";
import { VERSION } from "./version.ts";

export interface AgentSettings {
  /** UUID that survives restarts. */
  readonly nodeId: string;
  readonly name: string;
  readonly labels: Labels;
  /** 1..65535. */
  readonly baseWeight: number;
  readonly listen: string;
  /** Undefined: no operators' port. */
  readonly opsListen: string | undefined;
  readonly isInsecureAllowed: boolean;
  readonly allowHosts: readonly string[];
  readonly adminToken: string | undefined;
  /** Base URL of Ollama. */
  readonly ollamaUrl: string;
  /** Running calls per runner, 1 and up. */
  readonly slots: number;
  readonly queueLimit: number;
  /** Context for callers that name none; undefined: Ollama's own setting. */
  readonly numCtx: number | undefined;
  readonly firstTokenTimeoutMs: number;
  readonly stallTimeoutMs: number;
}

export interface AgentDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Agent {
  /** `host:port` as really bound. */
  readonly address: string;
  readonly opsAddress: string | undefined;
  readonly identity: NodeIdentity;
  /** Takes no new calls, lets running ones end for `graceMs`, then ends them. Callable once. */
  stop(graceMs?: number): Promise<void>;
}

/** Running answers get this long when the agent stops; orchestrators commonly wait 30 s before they kill. */
const STOP_GRACE_MS = 20_000;

const READ_AHEAD_BYTES = 1024 * 1024;
const LONGEST_LINE_BYTES = 64 * 1024 * 1024;
const CALLER_STALL_TIMEOUT_MS = 30_000;

type Parts = ReturnType<typeof buildParts>;

/** Starts the agent. Rejects with a ConfigError when a port cannot be opened. Ollama may be away: it is waited for. */
export async function buildAgent(settings: AgentSettings, deps: AgentDeps): Promise<Agent> {
  const parts = buildParts(settings, deps);
  const shutdown = new AbortController();
  // The first look at Ollama comes before the first call: whoever asks right after the start gets an answer about models.
  await parts.watch.start();
  try {
    const listener = await listen(settings, deps, parts, shutdown.signal);
    const opsListener = await listenForOperators(settings, deps, parts).catch((error: unknown) => {
      listener.destroy();
      throw error;
    });
    parts.directory.start();
    parts.loadedModels.start();
    await noRegistration.start();
    const stop = (graceMs = STOP_GRACE_MS): Promise<void> =>
      stopAgent({ deps, parts, shutdown, listener, opsListener, graceMs });
    return { address: listener.address, opsAddress: opsListener?.address, identity: parts.identity, stop };
  } catch (error) {
    await stopWatching(parts);
    throw error;
  }
}

function buildParts(settings: AgentSettings, { clock, log }: AgentDeps) {
  const changes = createStatusChanges();
  const health = new HealthRegistry();
  const condition = new NodeCondition(() => {
    changes.mark("condition");
    setHealth();
  });
  const setHealth = (): void => {
    const isServing = condition.isOllamaReachable && !condition.isDraining;
    for (const service of ["", InferenceService.typeName]) health.set(service, isServing);
    health.set(AgentService.typeName, true);
  };
  setHealth();
  const client = new OllamaClient(new URL(settings.ollamaUrl), clock);
  const isReachable = (): boolean => condition.isOllamaReachable;
  const directory = new ModelDirectory({
    client,
    clock,
    log,
    node: settings.name,
    isReachable,
    onChange: () => changes.mark("inventory"),
  });
  const loadedModels = new LoadedModels({
    client,
    clock,
    log,
    isReachable,
    onRead: (loaded, at) => queue.reconcile(loaded, at),
  });
  const load = createRunnerLoader({ client, clock, log, node: settings.name, loadedModels });
  const queue = new AdmissionQueue(
    { node: settings.name, slots: settings.slots, queueLimit: settings.queueLimit },
    { clock, load, onChange: () => changes.mark("load") },
  );
  const watch = new OllamaWatch({
    client,
    clock,
    log,
    condition,
    onReachable: async () => void (await Promise.all([directory.read(), loadedModels.read()])),
    // What was in its memory is gone with it; runners that are busy end by themselves.
    onUnreachable: () => queue.reconcile([], clock.nowMs()),
  });
  const identity = create(NodeIdentitySchema, {
    id: settings.nodeId,
    name: settings.name,
    incarnation: randomId(),
    version: VERSION,
    labels: Object.fromEntries(settings.labels),
    baseWeight: settings.baseWeight,
  });
  const source = {
    identity,
    condition: () => condition.build(),
    inventory: () => buildModelInventory(directory.list()),
    load: () => buildNodeLoad(queue.snapshot()),
  };
  const routers = new AttachedRouters(() => changes.mark("load"));
  return { changes, health, condition, client, directory, loadedModels, queue, watch, identity, source, routers };
}

function listen(settings: AgentSettings, deps: AgentDeps, parts: Parts, stopSignal: AbortSignal): Promise<Listener> {
  const limits: StreamLimits = {
    firstTokenTimeoutMs: settings.firstTokenTimeoutMs,
    stallTimeoutMs: settings.stallTimeoutMs,
    callerStallTimeoutMs: CALLER_STALL_TIMEOUT_MS,
    readAheadBytes: READ_AHEAD_BYTES,
    lineLimitBytes: LONGEST_LINE_BYTES,
  };
  const node = { id: settings.nodeId, name: settings.name };
  const { numCtx, adminToken } = settings;
  const inference = createInferenceService({ ...deps, ...parts, node, limits, numCtx });
  const agent = createAgentService({ ...deps, ...parts, stopSignal });
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
    interceptors: [adminGuard(adminToken === undefined ? { methods } : { methods, token: adminToken })],
    shutdownSignal: stopSignal,
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
  { log }: AgentDeps,
  parts: Parts,
): Promise<OpsListener | undefined> {
  if (settings.opsListen === undefined) return undefined;
  const { isInsecureAllowed, allowHosts } = settings;
  return await openOpsListener({
    listen: settings.opsListen,
    isInsecureAllowed,
    allowHosts,
    readiness: () => readiness(parts),
    log,
  });
}

function readiness({ condition, client }: Parts): ReadinessReport {
  const isReady = condition.isOllamaReachable;
  const detail = isReady
    ? `Ollama ${condition.ollamaVersion} answers at ${client.displayUrl}`
    : `Ollama does not answer at ${client.displayUrl}`;
  return { isReady, dependencies: [{ name: "ollama", isReady, detail }] };
}

interface StopParts {
  readonly deps: AgentDeps;
  readonly parts: Parts;
  readonly shutdown: AbortController;
  readonly listener: Listener;
  readonly opsListener: OpsListener | undefined;
  readonly graceMs: number;
}

async function stopAgent({ deps, parts, shutdown, listener, opsListener, graceMs }: StopParts): Promise<void> {
  await noRegistration.stop();
  parts.condition.drain("the agent stops");
  parts.health.shutdown();
  // Who waits can wait elsewhere; who has a slot may finish.
  parts.queue.close(new ConnectError("The agent stops.", Code.Unavailable));
  await Promise.race([listener.drain(), sleep(deps.clock, graceMs)]);
  shutdown.abort(new ConnectError("The agent stops.", Code.Unavailable));
  listener.destroy();
  await opsListener?.close();
  await stopWatching(parts);
}

async function stopWatching({ client, watch, directory, loadedModels }: Parts): Promise<void> {
  const stopped = Promise.all([watch.stop(), directory.stop(), loadedModels.stop()]);
  // What is being read fails at once, instead of holding the stop.
  await client.close();
  await stopped;
}
