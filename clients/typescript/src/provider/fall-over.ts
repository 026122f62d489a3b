/**
 * Tries one agent after the other, where the one before provably did not run the call. For calls whose agents the provider chooses;
 * all others are placed, and placed again, by the router or the fleet in this process.
 */
import { DroverError } from "../errors/drover-error.ts";
import type { ServerReason } from "../errors/reasons.ts";

/** As a router: one call, four attempts. */
const ATTEMPTS_MAX = 4;

/** The endings that are free to be tried elsewhere. A test holds this list equal to Drover's table of endings. */
export const NEVER_RAN: readonly ServerReason[] = [
  "NODE_DRAINING",
  "WAIT_EXCEEDED",
  "QUEUE_FULL",
  "OVERLOADED",
  "NODE_UNREACHABLE",
  "STREAM_REFUSED",
  "OLLAMA_UNREACHABLE",
];

/** `agentIds` is never empty. Rejects with the last failure. `isLast`: nobody is left to be tried afterwards. */
export async function fallOver<Value>(
  agentIds: readonly string[],
  attempt: (agentId: string, isLast: boolean) => Promise<Value>,
): Promise<Value> {
  return tryInTurn(agentIds.slice(0, ATTEMPTS_MAX), attempt);
}

async function tryInTurn<Value>(
  [first = "", ...others]: readonly string[],
  attempt: (agentId: string, isLast: boolean) => Promise<Value>,
): Promise<Value> {
  try {
    return await attempt(first, others.length === 0);
  } catch (error) {
    if (others.length === 0 || !neverRan(error)) throw error;
    return tryInTurn(others, attempt);
  }
}

function neverRan(error: unknown): boolean {
  if (!(error instanceof DroverError) || error.tokensReceived > 0) return false;
  return NEVER_RAN.some((reason) => reason === error.reason);
}
