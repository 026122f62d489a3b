/**
 * What a caller may say about the agent that it wants. Three of them travel with a call as metadata; the others no metadata can
 * say, so that the provider chooses the agent for them.
 */
import type { CallOptions } from "../client/call-options.ts";
import type { SelectNodeInput } from "../client/fleet/fleet-calls.ts";
import { invalidArgument } from "../errors/drover-error.ts";

/**
 * All of them must hold. `agentId`, `labels` and `session` travel with a call, and whoever places it falls over to another agent that
 * suits. With one of `capabilities`, `maxLatencyMs` and `excludeAgents` the provider asks for the ranking first and sends the call to the
 * best agent that is left, then to the next where the first provably did not run it, four at most; calls that begin together choose
 * one after the other.
 */
export interface AgentPreferences {
  /** This agent, by id or name, and no other. */
  readonly agentId?: string | undefined;
  /** Only agents with all these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** What the agent's copy of the model must be able to do, in Ollama's words: "tools", "vision". Default: what the request needs. */
  readonly capabilities?: readonly string[] | undefined;
  /**
   * No agent that took longer to the first token lately, in ms above 0: its `latency.firstTokenMs`. An agent that this provider has
   * not measured for a minute is let in.
   */
  readonly maxLatencyMs?: number | undefined;
  /** None of these, by id or name. */
  readonly excludeAgents?: readonly string[] | undefined;
  /** Calls with the same value prefer the agent that served the last one. At most 1,024 ASCII characters. */
  readonly session?: string | undefined;
}

const NAMES: Readonly<Record<keyof AgentPreferences, true>> = {
  agentId: true,
  labels: true,
  capabilities: true,
  maxLatencyMs: true,
  excludeAgents: true,
  session: true,
};

/** Throws a DroverError for what is misspelt or no latency: it would be ignored. */
export function checkPreferences(preferences: AgentPreferences): void {
  const unknown = Object.keys(preferences).filter((name) => !Object.hasOwn(NAMES, name));
  const problems = unknown.map((name) => `There is no preference "${name}": ${Object.keys(NAMES).join(", ")}.`);
  const { maxLatencyMs } = preferences;
  if (maxLatencyMs !== undefined && !(maxLatencyMs > 0)) {
    problems.push(`maxLatencyMs must be a number of ms above 0, not ${maxLatencyMs}.`);
  }
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
}

/** Names that a caller wrote beside `preferences` instead of in it. */
export function misplacedPreferences(options: object): readonly string[] {
  return ["node", ...Object.keys(NAMES)].filter((name) => Object.hasOwn(options, name));
}

/** Whether the provider has to choose the agent, because no metadata says this. */
export function needsSelection({ capabilities = [], maxLatencyMs, excludeAgents = [] }: AgentPreferences): boolean {
  return capabilities.length > 0 || maxLatencyMs !== undefined || excludeAgents.length > 0;
}

/** What a call carries of them. */
export function placementOf({
  agentId,
  labels,
  session,
}: AgentPreferences): Pick<CallOptions, "node" | "labels" | "session"> {
  return { node: agentId, labels, session };
}

/** What SelectNode is asked. */
export function selectionOf(
  model: string,
  { agentId, labels, capabilities, session }: AgentPreferences,
): SelectNodeInput {
  return { model, labels, capabilities, session, node: agentId };
}
