/**
 * The few questions that a program has for its Consul agent: register, keep alive, maintenance, leave. It decides nothing about
 * when. Every question is bounded in time, because the library's default waits for ever on a truncated answer.
 */
import Consul from "consul";
import type { CheckOptions } from "consul/lib/agent/check.js";
import type { RegisterOptions } from "consul/lib/agent/service.js";
import type { ConsulAccess } from "../consul-access.ts";
import { grpcCheckId, type ServiceDefinition, ttlCheckId } from "./service-definition.ts";

export interface ConsulAgent {
  register(service: ServiceDefinition): Promise<void>;
  /** Also when Consul does not know it any more. */
  deregister(serviceId: string): Promise<void>;
  /** False: Consul does not know the service (it restarted and forgot, or an operator took it out). */
  setAlive(serviceId: string, alive: Aliveness): Promise<boolean>;
  setMaintenance(serviceId: string, reason: string | undefined): Promise<void>;
  removeCheck(checkId: string): Promise<void>;
  read(serviceId: string): Promise<RegisteredService>;
  destroy(): void;
}

export interface Aliveness {
  readonly isPassing: boolean;
  /** For operators: why. */
  readonly note: string;
}

/** What Consul's agent has of a service now. */
export interface RegisteredService {
  readonly isRegistered: boolean;
  readonly address: string;
  readonly port: number;
  readonly meta: Readonly<Record<string, string>>;
  readonly checkIds: readonly string[];
  /** The reason of its maintenance mode, or of the whole machine's; undefined: neither. */
  readonly maintenance: Maintenance | undefined;
}

export interface Maintenance {
  readonly scope: "service" | "machine";
  readonly reason: string;
}

const REQUEST_TIMEOUT_MS = 2_000;
/** Longest time between two signs of life before others are told that this program is gone. */
const TTL = "10s";
const GRPC_INTERVAL = "5s";
const GRPC_TIMEOUT = "2s";
/** One slow answer of a machine that loads a model is not its end. */
const GRPC_FAILURES_BEFORE_CRITICAL = 2;
/** Consul forgets what nobody kept alive; long enough that a stopped machine that continues is still there. */
const FORGOTTEN_AFTER = "10m";

const SERVICE_MAINTENANCE = "_service_maintenance:";
const MACHINE_MAINTENANCE = "_node_maintenance";

export function createConsulAgent({ url, token }: ConsulAccess): ConsulAgent {
  // The library knows these two, its types do not.
  const untyped = { baseUrl: `${url}/v1`, timeout: REQUEST_TIMEOUT_MS } as object;
  const consul = new Consul({ ...untyped });
  const { service, check } = consul.agent;
  // Read for each question: a token file may have been replaced.
  const auth = (): { token?: string } => {
    const current = token();
    return current === undefined ? {} : { token: current };
  };
  return {
    register: async (definition) => {
      await service.register({ ...registration(definition), ...auth() });
    },
    deregister: async (id) => {
      await service.deregister({ id, ...auth() }).catch(unlessUnknown);
    },
    setAlive: async (id, { isPassing, note }) => {
      const update = { id: ttlCheckId(id), note, ...auth() };
      const answer: Promise<unknown> = isPassing ? check.pass(update) : check.fail(update);
      return await answer.then(() => true, forgottenOrThrow);
    },
    setMaintenance: async (id, reason) => {
      await service.maintenance({
        id,
        ...(reason === undefined ? { enable: false } : { enable: true, reason }),
        ...auth(),
      });
    },
    removeCheck: async (id) => {
      await check.deregister({ id, ...auth() }).catch(unlessUnknown);
    },
    read: async (id) => {
      // Filtered: on a machine with thousands of services the whole lists are megabytes.
      const [services, checks] = await Promise.all([
        service.list({ filter: `ID == "${id}"`, ...auth() }),
        check.list({ filter: `ServiceID == "${id}" or CheckID == "${MACHINE_MAINTENANCE}"`, ...auth() }),
      ]);
      return readService(id, services[id], Object.values(checks));
    },
    destroy: () => consul.destroy(),
  };
}

function registration(definition: ServiceDefinition): RegisterOptions {
  const { name, id, address, port, meta, grpcCheck } = definition;
  // Critical until the first word: a program that dies while it starts must not look well for a whole TTL.
  const ttl: CheckOptions = {
    name: "Drover is alive",
    checkid: ttlCheckId(id),
    ttl: TTL,
    timeout: "",
    deregistercriticalserviceafter: FORGOTTEN_AFTER,
  };
  const grpc: CheckOptions = {
    name: "gRPC health",
    checkid: grpcCheckId(id),
    grpc: grpcCheck ?? "",
    interval: GRPC_INTERVAL,
    timeout: GRPC_TIMEOUT,
    // Else every start would hide the program until Consul's first look, up to an interval later.
    status: "passing",
    failuresbeforecritical: GRPC_FAILURES_BEFORE_CRITICAL,
  };
  const checks = grpcCheck === undefined ? [ttl] : [ttl, grpc];
  return { name, id, port, meta: { ...meta }, checks, ...(address === undefined ? {} : { address }) };
}

function readService(
  id: string,
  entry: Record<string, unknown> | undefined,
  checks: readonly Check[],
): RegisteredService {
  const maintenance = checks.find(({ CheckID }) => CheckID === SERVICE_MAINTENANCE + id);
  const machine = checks.find(({ CheckID }) => CheckID === MACHINE_MAINTENANCE);
  return {
    isRegistered: entry !== undefined,
    address: String(entry?.["Address"] ?? ""),
    port: Number(entry?.["Port"] ?? 0),
    meta: (entry?.["Meta"] as Record<string, string> | null | undefined) ?? {},
    checkIds: checks.filter(({ ServiceID }) => ServiceID === id).map(({ CheckID }) => CheckID),
    maintenance: maintenanceOf(maintenance, "service") ?? maintenanceOf(machine, "machine"),
  };
}

interface Check {
  readonly CheckID: string;
  readonly ServiceID: string;
  readonly Notes: string;
}

function maintenanceOf(check: Check | undefined, scope: Maintenance["scope"]): Maintenance | undefined {
  return check === undefined ? undefined : { scope, reason: check.Notes };
}

function unlessUnknown(error: unknown): void {
  // Consul 1.12 and newer; older ones answer 200.
  if (statusOf(error) !== 404) throw error;
}

/** 404, or 500 with these words before Consul 1.12. */
function forgottenOrThrow(error: unknown): false {
  const isForgotten = statusOf(error) === 404 || /does not have associated TTL|Unknown check/.test(String(error));
  if (!isForgotten) throw error;
  return false;
}

function statusOf(error: unknown): number | undefined {
  return (error as { readonly statusCode?: number }).statusCode;
}
