/**
 * The rooms of the agent and how they know each other: who tells whom of a change, who asks whom. Nothing here listens or
 * runs yet.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Clock,
  type ConsulAccess,
  HealthRegistry,
  type HostPort,
  type Labels,
  type Logger,
  type Rng,
  randomId,
  type StateDir,
  type Telemetry,
} from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { type NodeIdentity, NodeIdentitySchema } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RunningCalls } from "./api/running-calls.ts";
import { LoadedModels } from "./models/loaded-models.ts";
import { ModelDirectory } from "./models/model-directory.ts";
import { OllamaWatch } from "./models/ollama-watch.ts";
import { OllamaClient } from "./ollama/ollama-client.ts";
import { doesPrefillOutliveCancel } from "./ollama/ollama-version.ts";
import { AdmissionQueue } from "./queue/admission-queue.ts";
import { createRunnerLoader } from "./queue/runner-loader.ts";
import { AttachedRouters } from "./status/attached-routers.ts";
import { createDrainMemory } from "./status/drain-memory.ts";
import { createModelInventory } from "./status/model-inventory.ts";
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
  readonly stateDir: Pick<StateDir, "read" | "write">;
  /** How long running calls may take to end when the agent stops. */
  readonly drainLimitMs: number;
  /** Undefined: the agent registers nowhere. */
  readonly consul: ConsulAccess | undefined;
  /** Where others reach this agent, when it is not where it listens. */
  readonly advertise: HostPort | undefined;
}

export interface AgentDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly telemetry: Telemetry;
}

/** Bodies of waiting calls together: the count alone would allow 16 GiB. */
const QUEUE_BYTES = 512 * 1024 * 1024;

export type AgentParts = ReturnType<typeof buildParts>;

export function buildParts(settings: AgentSettings, { clock, log }: AgentDeps) {
  const changes = createStatusChanges();
  const health = new HealthRegistry();
  const condition = new NodeCondition(
    () => {
      changes.mark("condition");
      setHealth();
    },
    createDrainMemory(settings.stateDir, log),
  );
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
    weightsKeyOf: (modelKey) => directory.weightsKeyOf(modelKey),
    onRead: (loaded, at) => queue.reconcile(loaded, at),
  });
  const load = createRunnerLoader({ client, clock, log, node: settings.name, loadedModels });
  const queue = new AdmissionQueue(
    { node: settings.name, slots: settings.slots, queueLimit: settings.queueLimit, queueBytesLimit: QUEUE_BYTES },
    {
      clock,
      load,
      doesPrefillOutliveCancel: () => doesPrefillOutliveCancel(condition.ollamaVersion),
      onChange: () => changes.mark("load"),
    },
  );
  const watch = new OllamaWatch({
    client,
    clock,
    log,
    condition,
    onReachable: async () => {
      // Never waited for: its answer may take 15 s, see LoadedModels.
      void loadedModels.read();
      await directory.read();
    },
    onUnreachable: () => queue.ollamaGone(),
  });
  const identity = identityOf(settings);
  const source = {
    identity,
    condition: () => condition.build(),
    inventory: createModelInventory(log, () => directory.list()),
    load: () => buildNodeLoad(queue.snapshot(), (weightsKey) => directory.namesOf(weightsKey)),
  };
  const callers = { routers: new AttachedRouters(() => changes.mark("load")), calls: new RunningCalls() };
  return { changes, health, condition, client, directory, loadedModels, queue, watch, identity, source, ...callers };
}

function identityOf(settings: AgentSettings): NodeIdentity {
  return create(NodeIdentitySchema, {
    id: settings.nodeId,
    name: settings.name,
    incarnation: randomId(),
    version: VERSION,
    labels: Object.fromEntries(settings.labels),
    baseWeight: settings.baseWeight,
  });
}
