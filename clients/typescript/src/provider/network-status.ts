/**
 * The fleet as a provider shows it: agents with what was measured of them, and their sums. It asks the fleet and decides nothing.
 */
import type { DroverClient } from "../client/drover-client.ts";
import type { FleetModel } from "../client/fleet/fleet-calls.ts";
import type { FleetNode } from "../client/fleet/fleet-node.ts";
import type { HealthStatus } from "../client/health.ts";
import { DroverError } from "../errors/drover-error.ts";
import type { AgentLatencies, AgentLatency } from "./agent-latency.ts";
import type { AgentConnectionPool, ProviderPort } from "./provider-port.ts";

/** A node of the fleet, and how fast it was for this provider. */
export interface NetworkAgent extends FleetNode {
  /** Undefined: not measured within the last minute, or another agent has the same name. */
  readonly latency: AgentLatency | undefined;
}

export interface NetworkStatus {
  /** "SERVING": calls are taken. Whether an agent can take them, `agents` tells. */
  readonly health: HealthStatus;
  /** Every agent that discovery knows, reachable or not, by name. */
  readonly agents: readonly NetworkAgent[];
  /** The models of all agents that answer, by name. */
  readonly models: readonly FleetModel[];
  /** One for each endpoint of the fleet. Undefined over a router: the connections to agents are its own, and it does not tell them. */
  readonly pools: readonly AgentConnectionPool[] | undefined;
  readonly totals: NetworkTotals;
}

/** Sums over all agents. */
export interface NetworkTotals {
  readonly agents: number;
  /** Those that take new work. */
  readonly availableAgents: number;
  readonly models: number;
  /** Calls that have a slot, of all callers. */
  readonly active: number;
  /** Calls that wait at agents, of all callers. */
  readonly queued: number;
  /** What the router, or this process, sent since it started. Attempts that run now are not in it. */
  readonly attempts: number;
  readonly failedAttempts: number;
  /** By Ollama's counts, of the answers that were complete. */
  readonly promptTokens: number;
  readonly generatedTokens: number;
}

/** Of a question about the fleet, which is answered from memory: whoever takes longer hangs. */
export const ASK_TIMEOUT_MS = 10_000;
const ASKING = { timeoutMs: ASK_TIMEOUT_MS };

/** All of them, by name. */
export async function listAgents(client: DroverClient, latencies: AgentLatencies): Promise<readonly NetworkAgent[]> {
  const nodes = await client.fleet.listNodes(ASKING);
  return nodes.map((node) => ({ ...node, latency: node.isNameShared ? undefined : latencies.of(node.name) }));
}

/** Those whose agents answer and that have the model, whether or not they take work. */
export async function agentsWith(
  client: DroverClient,
  latencies: AgentLatencies,
  model: string,
): Promise<readonly NetworkAgent[]> {
  // Which names mean one model is the fleet's to say.
  const [agents, found] = await Promise.all([
    listAgents(client, latencies),
    client.fleet.checkFeatures(model, ASKING).catch(orNone),
  ]);
  const ids = new Set(found?.copies.map(({ nodeId }) => nodeId));
  return agents.filter(({ id }) => id !== "" && ids.has(id));
}

export async function networkStatus(
  { client, connectionPools }: ProviderPort,
  latencies: AgentLatencies,
): Promise<NetworkStatus> {
  const [agents, models, health] = await Promise.all([
    listAgents(client, latencies),
    client.fleet.listModels(ASKING),
    client.health("", ASKING),
  ]);
  const sum = (read: (agent: NetworkAgent) => number): number =>
    agents.reduce((total, agent) => total + read(agent), 0);
  return {
    health,
    agents,
    models,
    pools: connectionPools?.(),
    totals: {
      agents: agents.length,
      availableAgents: agents.filter(({ availability }) => availability === "available").length,
      models: models.length,
      active: sum(({ load }) => load.active),
      queued: sum(({ load }) => load.queued),
      attempts: sum(({ totals }) => totals.attempts),
      failedAttempts: sum(({ totals }) => totals.failedAttempts),
      promptTokens: sum(({ totals }) => totals.promptTokens),
      generatedTokens: sum(({ totals }) => totals.generatedTokens),
    },
  };
}

function orNone(error: unknown): undefined {
  if (error instanceof DroverError && error.reason === "MODEL_NOT_FOUND") return undefined;
  throw error;
}
