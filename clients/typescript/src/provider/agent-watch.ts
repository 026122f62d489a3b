/**
 * Looks after an attempt that is pinned to the agent that the provider chose. Where that agent goes away between choice and send, the
 * router waits for it as long as the call may wait, because a pin says so; who chose it can choose another.
 */
import type { DroverClient } from "../client/drover-client.ts";
import type { FleetNode } from "../client/fleet/fleet-node.ts";
import type { Clock, Timer } from "../connect/clock.ts";
import { DroverError } from "../errors/drover-error.ts";
import { ASK_TIMEOUT_MS } from "./network-status.ts";

/** Most attempts have shown a token by then, and nobody is asked. */
const LOOK_EVERY_MS = 1_000;
/** Attempts that look within this time share one list: a thousand that wait must not ask a thousand times. */
const LIST_AGE_MAX_MS = LOOK_EVERY_MS / 2;
/** One look may fall between the loss of a connection and its return. */
const LOOKS_AWAY = 2;

export interface WatchedAttempt<Value> {
  readonly agentId: string;
  /** Settles with the first that comes of it. */
  readonly begun: Promise<Value>;
  /** Ends it. */
  readonly leave: () => void;
}

export class AgentWatch {
  readonly #client: DroverClient;
  readonly #clock: Clock;
  #listed: { readonly atMs: number; readonly nodes: Promise<readonly FleetNode[]> } | undefined;

  constructor(client: DroverClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** As `begun`; but leaves, and rejects with NODE_UNREACHABLE, when its agent is away in two looks one after the other. */
  whileThere<Value>({ agentId, begun, leave }: WatchedAttempt<Value>): Promise<Value> {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    let timer: Timer | undefined;
    let isOver = false;
    let looksAway = 0;
    const look = async (): Promise<void> => {
      looksAway = (await this.#isAway(agentId)) ? looksAway + 1 : 0;
      if (isOver) return;
      if (looksAway < LOOKS_AWAY) {
        timer = this.#clock.after(LOOK_EVERY_MS, () => void look());
        return;
      }
      reject(awayError(agentId));
      leave();
    };
    timer = this.#clock.after(LOOK_EVERY_MS, () => void look());
    const finish = (): void => {
      isOver = true;
      timer?.cancel();
    };
    begun.then(resolve, reject).finally(finish);
    return promise;
  }

  /** Who cannot be asked says nothing. */
  async #isAway(agentId: string): Promise<boolean> {
    try {
      const agent = (await this.#nodes()).find(({ id }) => id === agentId);
      return agent === undefined || agent.availability === "unreachable";
    } catch {
      return false;
    }
  }

  #nodes(): Promise<readonly FleetNode[]> {
    const nowMs = this.#clock.nowMs();
    if (this.#listed === undefined || nowMs - this.#listed.atMs > LIST_AGE_MAX_MS) {
      this.#listed = { atMs: nowMs, nodes: this.#client.fleet.listNodes({ timeoutMs: ASK_TIMEOUT_MS }) };
    }
    return this.#listed.nodes;
  }
}

function awayError(agentId: string): DroverError {
  const words = `The chosen agent ${agentId} went away before it answered.`;
  return new DroverError(words, { reason: "NODE_UNREACHABLE", status: "UNAVAILABLE" });
}
