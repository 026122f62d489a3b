/**
 * Waits until a fleet has been heard of, for a bounded time, and says what was tried where it was not.
 */
import type { DroverClient } from "../client/drover-client.ts";
import type { FleetNode } from "../client/fleet/fleet-node.ts";
import type { Clock } from "../connect/clock.ts";
import { DroverError } from "../errors/drover-error.ts";

export interface FleetWait {
  readonly client: DroverClient;
  readonly target: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Ends the pauses; that the client is closed then ends the rest. */
  readonly ended: AbortSignal;
}

/** Between two questions for the list of nodes: agents answer within some of these. */
const LOOK_AGAIN_MS = 50;
const AGENTS_NAMED_MAX = 10;

type Look = { readonly nodes: readonly FleetNode[] } | { readonly error: DroverError };

/**
 * Heard of is a fleet when each of its agents has answered or could not be reached, and one at least has answered; when the time is
 * up, one is enough.
 */
export async function untilHeard(wait: FleetWait): Promise<void> {
  const { client, clock, timeoutMs, ended } = wait;
  const endMs = clock.nowMs() + timeoutMs;
  let seen: Look | undefined;
  for (;;) {
    seen = moreTelling(seen, await look(client, Math.max(endMs - clock.nowMs(), 1)));
    const nodes = "nodes" in seen ? seen.nodes : [];
    const isAnyHeard = nodes.some(({ id }) => id !== "");
    if (isAnyHeard && !nodes.some(({ availability }) => availability === "connecting")) return;
    if (clock.nowMs() >= endMs) {
      if (isAnyHeard) return;
      throw notHeard(wait, seen);
    }
    await pause(clock, Math.min(LOOK_AGAIN_MS, endMs - clock.nowMs()), ended);
  }
}

/** The last look ends with the wait itself: that its time passed says nothing. */
function moreTelling(before: Look | undefined, now: Look): Look {
  return before !== undefined && "error" in now && now.error.reason === "DEADLINE_EXCEEDED" ? before : now;
}

/** What may be another answer a moment later is no end; a wrong token is. */
async function look(client: DroverClient, timeoutMs: number): Promise<Look> {
  try {
    return { nodes: await client.fleet.listNodes({ timeoutMs }) };
  } catch (error) {
    const mayChange = error instanceof DroverError && ["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(error.status);
    if (mayChange) return { error };
    throw error instanceof DroverError && error.status === "UNIMPLEMENTED" ? noRouter(error) : error;
  }
}

function noRouter(cause: DroverError): DroverError {
  const words =
    "What answers there is no router: it does not know RouterService. Is it an agent? @drover/client/direct takes agents.";
  return new DroverError(words, { reason: cause.reason, status: cause.status, cause });
}

function notHeard({ target, timeoutMs }: FleetWait, seen: Look): DroverError {
  const head = `No agent was heard of within ${timeoutMs} ms. Tried: ${target}.`;
  if ("error" in seen) {
    const { reason, status, message } = seen.error;
    return new DroverError(`${head} ${message}`, { reason, status, cause: seen.error });
  }
  const agents = seen.nodes.map(({ endpoint, detail }) => `${endpoint} (${detail})`);
  const more = agents.length - AGENTS_NAMED_MAX;
  const named = [...agents.slice(0, AGENTS_NAMED_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  const why = agents.length === 0 ? "It names no agents: are they registered?" : `It names ${named}.`;
  return new DroverError(`${head} ${why}`, { reason: "FLEET_NOT_READY", status: "UNAVAILABLE" });
}

function pause(clock: Clock, delayMs: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      timer.cancel();
      ended.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.after(delayMs, finish);
    ended.addEventListener("abort", finish, { once: true });
    if (ended.aborted) finish();
  });
}
