/**
 * What a program may say about the fleet that it holds itself, and what that means for the library that routers run.
 */
import { hostname } from "node:os";
import { env } from "node:process";
import { type Logger, silentLogger, systemClock, systemRng } from "@drover/platform";
import {
  HEALTH_DEFAULTS,
  POLICY_NAMES,
  POOL_DEFAULTS,
  type PolicyName,
  RETRY_DEFAULTS,
  type RoutingOptions,
} from "@drover/routing";
import manifest from "../../package.json" with { type: "json" };
import { describeUnknown } from "../errors/describe-unknown.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import { readAgentAddresses } from "./agent-addresses.ts";

export interface DirectOptions {
  /**
   * Where agents are: `host:50052`, `dns:///name:50052`, `consul://drover-agent` or `consul://host:8500/drover-agent`, and any of
   * them together. DNS is asked again every 30 s, and every 5 s while an address does not answer.
   */
  readonly agents: string | readonly string[];
  /** How a node is chosen among those that can take a call. Default `weighted`. */
  readonly loadBalancing?: PolicyName | undefined;
  readonly healthCheck?: HealthCheckOptions | undefined;
  readonly connectionPool?: ConnectionPoolOptions | undefined;
  /** Attempts of one call before its first token, the first included; 1 never tries again. Default 4. */
  readonly attemptsMax?: number | undefined;
  /** Longest time that a call waits for a node, where it does not say so itself. Default 120 s. */
  readonly maxWaitMs?: number | undefined;
  /** The agents' admin token, shown where a node is drained or resumed; without one, agents take that from their own machine only. */
  readonly adminToken?: string | undefined;
  /** How agents name this program in their logs. Default `client@HOST`. */
  readonly name?: string | undefined;
  /** Default: nothing is logged. */
  readonly log?: Logger | undefined;
}

/** An agent's open stream is what tells that it lives; these numbers say when calls that fail take a node out of use. */
export interface HealthCheckOptions {
  /** Failures in a row after which a node, or a model on a node, gets no calls for a while. Default 5. */
  readonly ejectAfter?: number | undefined;
  /** How long the first ejection lasts; each that follows a failed return lasts twice as long. Default 60 s. */
  readonly ejectTimeMs?: number | undefined;
  /** Longest ejection. Default 300 s. */
  readonly ejectTimeMaxMs?: number | undefined;
  /** Largest part of the nodes that is ejected at once, 0..1; 0 ejects none. Default 0.5. */
  readonly ejectShare?: number | undefined;
}

export interface ConnectionPoolOptions {
  /** Connections that carry calls to one agent; its Attach stream has one of its own. Default 5. */
  readonly maxConnectionsPerAgent?: number | undefined;
  /** A connection without calls for so long is closed, at its next keep-alive. Default 30 s. */
  readonly idleTimeoutMs?: number | undefined;
  /** Calls on one connection before another one is opened. Default 100, and never more than the agent allows. */
  readonly streamsPerConnection?: number | undefined;
}

export const MAX_WAIT_MS = 120_000;
const CONNECTIONS_MAX = 5;
const IDLE_TIMEOUT_MS = 30_000;

/** Throws a DroverError that names all that is wrong. */
export function routingOptions(options: DirectOptions, stopSignal: AbortSignal): RoutingOptions {
  const { healthCheck = {}, connectionPool = {} } = options;
  checkOptions(options);
  return {
    clock: systemClock,
    rng: systemRng,
    log: options.log ?? silentLogger,
    name: options.name ?? `client@${hostname()}`,
    version: manifest.version,
    discovery: readAgentAddresses(options.agents, env),
    policy: options.loadBalancing ?? "weighted",
    health: {
      consecutiveFailures: healthCheck.ejectAfter ?? HEALTH_DEFAULTS.consecutiveFailures,
      baseEjectionMs: healthCheck.ejectTimeMs ?? HEALTH_DEFAULTS.baseEjectionMs,
      maxEjectionMs: healthCheck.ejectTimeMaxMs ?? HEALTH_DEFAULTS.maxEjectionMs,
      maxEjectedShare: healthCheck.ejectShare ?? HEALTH_DEFAULTS.maxEjectedShare,
    },
    retry: { attemptsMax: options.attemptsMax ?? RETRY_DEFAULTS.attemptsMax },
    connections: {
      maxConnectionsPerAgent: connectionPool.maxConnectionsPerAgent ?? CONNECTIONS_MAX,
      idleTimeoutMs: connectionPool.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      streamsPerConnection: connectionPool.streamsPerConnection ?? POOL_DEFAULTS.streamsPerConnection,
    },
    stopSignal,
  };
}

/** A misspelt one must not be ignored. */
const NAMES = [
  ...["agents", "loadBalancing", "healthCheck", "connectionPool", "attemptsMax"],
  ...["maxWaitMs", "adminToken", "name", "log"],
] as const satisfies readonly (keyof DirectOptions)[];
const HEALTH_CHECK = [
  "ejectAfter",
  "ejectTimeMs",
  "ejectTimeMaxMs",
  "ejectShare",
] as const satisfies readonly (keyof HealthCheckOptions)[];
const CONNECTION_POOL = [
  "maxConnectionsPerAgent",
  "idleTimeoutMs",
  "streamsPerConnection",
] as const satisfies readonly (keyof ConnectionPoolOptions)[];

type Bounds = readonly [name: string, given: number | undefined, least: number, most: number];

function checkOptions(options: DirectOptions): void {
  const problems = [...nameProblems(options), ...valueProblems(options)];
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
}

function nameProblems({ healthCheck = {}, connectionPool = {}, ...options }: DirectOptions): readonly string[] {
  return [
    ...describeUnknown("", Object.keys(options), NAMES),
    ...describeUnknown("healthCheck", Object.keys(healthCheck), HEALTH_CHECK),
    ...describeUnknown("connectionPool", Object.keys(connectionPool), CONNECTION_POOL),
  ];
}

function valueProblems(options: DirectOptions): readonly string[] {
  const { healthCheck = {}, connectionPool = {}, loadBalancing } = options;
  const bounds: readonly Bounds[] = [
    ["healthCheck.ejectAfter", healthCheck.ejectAfter, 1, 1_000],
    ["healthCheck.ejectTimeMs", healthCheck.ejectTimeMs, 100, 86_400_000],
    ["healthCheck.ejectTimeMaxMs", healthCheck.ejectTimeMaxMs, 100, 86_400_000],
    ["healthCheck.ejectShare", healthCheck.ejectShare, 0, 1],
    ["connectionPool.maxConnectionsPerAgent", connectionPool.maxConnectionsPerAgent, 1, 100],
    ["connectionPool.idleTimeoutMs", connectionPool.idleTimeoutMs, 1, 86_400_000],
    ["connectionPool.streamsPerConnection", connectionPool.streamsPerConnection, 1, 1_000],
    ["attemptsMax", options.attemptsMax, 1, 100],
    ["maxWaitMs", options.maxWaitMs, 0, 86_400_000],
  ];
  const problems = bounds.flatMap(([name, given, least, most]) =>
    given === undefined || (given >= least && given <= most)
      ? []
      : [`${name}: ${given} is not a number from ${least} to ${most}.`],
  );
  const { ejectTimeMs = HEALTH_DEFAULTS.baseEjectionMs, ejectTimeMaxMs = HEALTH_DEFAULTS.maxEjectionMs } = healthCheck;
  if (ejectTimeMs > ejectTimeMaxMs) problems.push("healthCheck.ejectTimeMs: must not be longer than ejectTimeMaxMs.");
  if (loadBalancing !== undefined && !POLICY_NAMES.includes(loadBalancing)) {
    problems.push(`loadBalancing: "${loadBalancing}" is none of ${POLICY_NAMES.join(", ")}.`);
  }
  return problems;
}
