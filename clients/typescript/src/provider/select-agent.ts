/**
 * Which agent a call should go to, and why, in words: the fleet's own ranking, less what the caller's preferences rule out. It sends
 * nothing to any agent.
 */
import type { DroverClient } from "../client/drover-client.ts";
import type { ExcludedNode, FleetCallOptions, RankedNode } from "../client/fleet/fleet-calls.ts";
import { DroverError } from "../errors/drover-error.ts";
import type { AgentLatencies } from "./agent-latency.ts";
import { type AgentPreferences, selectionOf } from "./agent-preferences.ts";
import { ASK_TIMEOUT_MS, listAgents, type NetworkAgent } from "./network-status.ts";

/** The answer of `selectAgent`. */
export interface AgentSelection {
  /** The first of `ranking`. */
  readonly agent: NetworkAgent;
  /** Those that could take the call, best first, each with what its cost is made of. Never empty. */
  readonly ranking: readonly RankedNode[];
  /** All others, each with why not. */
  readonly excluded: readonly ExcludedNode[];
  /** Name of the policy that ranked. */
  readonly policy: string;
  /** All this as sentences, for people; of large fleets not all. */
  readonly explanation: string;
}

export type AgentRanking = Omit<AgentSelection, "agent">;

export interface SelectionQuestion {
  readonly model: string;
  readonly preferences: AgentPreferences;
  readonly options?: FleetCallOptions;
}

/** In a sentence. */
const NODES_MAX = 10;

export async function selectAgent(
  client: DroverClient,
  latencies: AgentLatencies,
  question: SelectionQuestion,
): Promise<AgentSelection> {
  const [selection, agents] = await Promise.all([
    rankAgents(client, latencies, question),
    listAgents(client, latencies),
  ]);
  const agent = agents.find(({ id }) => id === selection.ranking[0]?.nodeId);
  if (agent === undefined) throw nobody(question.model, "The agent that was chosen has left the fleet since.");
  return { agent, ...selection };
}

/** Throws NO_NODE_AVAILABLE, with the reasons, where nobody is left. */
export async function rankAgents(
  client: DroverClient,
  latencies: AgentLatencies,
  { model, preferences, options = {} }: SelectionQuestion,
): Promise<AgentRanking> {
  const asking = { ...options, timeoutMs: Math.min(options.timeoutMs ?? ASK_TIMEOUT_MS, ASK_TIMEOUT_MS) };
  const selection = await client.fleet.selectNode(selectionOf(model, preferences), asking);
  const { ranking: all, excluded, policy, instead } = selection;
  const ruledOut = all.flatMap((node) => ruledOutBy(preferences, node, latencies) ?? []);
  const isRuledOut = new Set(ruledOut.map(({ nodeId }) => nodeId));
  const left = {
    ranking: all.filter(({ nodeId }) => !isRuledOut.has(nodeId)),
    excluded: [...excluded, ...ruledOut],
    policy,
  };
  if (left.ranking.length > 0) return { ...left, explanation: explain(model, left) };
  const why = all.length === 0 ? instead : "Your preferences rule out every agent that could take the call.";
  throw nobody(model, [why, leftOut(left.excluded)].filter((words) => words !== "").join(" "));
}

function ruledOutBy(
  { excludeAgents = [], maxLatencyMs }: AgentPreferences,
  { nodeId, nodeName }: RankedNode,
  latencies: AgentLatencies,
): ExcludedNode | undefined {
  const excluded = (reason: string): ExcludedNode => ({ nodeId, nodeName, reason, endpoint: "" });
  if (excludeAgents.includes(nodeId) || excludeAgents.includes(nodeName)) return excluded("named in excludeAgents");
  const firstTokenMs = latencies.of(nodeName)?.firstTokenMs;
  if (maxLatencyMs === undefined || firstTokenMs === undefined || firstTokenMs <= maxLatencyMs) return undefined;
  return excluded(`took ${Math.round(firstTokenMs)} ms to the first token lately, and maxLatencyMs is ${maxLatencyMs}`);
}

function nobody(model: string, why: string): DroverError {
  return new DroverError(`No agent can take a call for model "${model}" now. ${why}`, {
    reason: "NO_NODE_AVAILABLE",
    status: "UNAVAILABLE",
    facts: { model },
  });
}

function explain(model: string, { ranking, excluded, policy }: Omit<AgentRanking, "explanation">): string {
  const [first, ...others] = ranking;
  const best = `${first?.nodeName} is the best of ${ranking.length} for model "${model}" by policy ${policy}: ${costWords(first)}.`;
  const next = listed(others.map((node) => `${node.nodeName} ${costWords(node)}`));
  return [best, next === "" ? "" : `Then ${next}.`, leftOut(excluded)].filter((words) => words !== "").join(" ");
}

function costWords(node: RankedNode | undefined): string {
  const terms = Object.entries(node?.terms ?? {}).map(([name, value]) => `${name} ${short(value)}`);
  const cost = `costs ${short(node?.cost ?? 0)}${terms.length === 0 ? "" : ` (${terms.sort().join(", ")})`}`;
  return node?.detail === "" ? cost : `${cost}, and stands behind because ${node?.detail}`;
}

function leftOut(excluded: readonly ExcludedNode[]): string {
  const each = excluded.map(({ nodeName, endpoint, reason }) => `${nodeName || endpoint}: ${reason}`);
  return each.length === 0 ? "" : `Left out: ${listed(each)}.`;
}

function listed(parts: readonly string[]): string {
  const more = parts.length - NODES_MAX;
  return [...parts.slice(0, NODES_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
