/**
 * The connections to one agent: opens the first when it is needed and further ones while all others are full, gives each call the
 * one with room, and leaves an agent alone for a while that could not be reached.
 */
import type { Clock, Rng } from "@drover/platform";
import type { PoolLimits } from "./pool-limits.ts";
import { type ConnectionCallback, type ConnectionEvents, PooledConnection } from "./pooled-connection.ts";
import { errorCode } from "./transport-error.ts";

export interface AgentPoolOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly limits: PoolLimits;
  /** Neither a connection nor a failure is left to remember. */
  readonly onEmpty: () => void;
}

/** The connections to one agent as they are now, for people. */
export interface PoolReport {
  /** Those that are being opened or closed included. */
  readonly connections: number;
  readonly streams: number;
  /** Calls that wait for a connection to open. */
  readonly pending: number;
  /** Attempts to connect that failed since the last one that succeeded. */
  readonly failures: number;
  /** What the last of them ended with, as the operating system says it ("ECONNREFUSED"); empty when there was none. */
  readonly lastError: string;
}

export const EMPTY_POOL: PoolReport = { connections: 0, streams: 0, pending: 0, failures: 0, lastError: "" };

export class AgentPool {
  readonly #endpoint: string;
  readonly #options: AgentPoolOptions;
  /** In the order of opening; those that are closing stay until their last stream has ended. */
  #connections: readonly PooledConnection[] = [];
  #failures = 0;
  #lastError: unknown;
  /** Until then nobody tries to connect. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #isDestroyed = false;
  readonly #events: ConnectionEvents = {
    onOpen: () => {
      this.#failures = 0;
      this.#lastError = undefined;
    },
    onClose: (connection, error, unserved) => this.#onClose(connection, error, unserved),
  };

  constructor(endpoint: string, options: AgentPoolOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
  }

  get report(): PoolReport {
    return {
      connections: this.#connections.length,
      streams: sum(this.#connections, ({ streams }) => streams),
      pending: sum(this.#connections, ({ pending }) => pending),
      failures: this.#failures,
      lastError: this.#failures === 0 ? "" : (errorCode(this.#lastError) ?? "closed"),
    };
  }

  /**
   * Calls back with a connection that takes streams, at once when there is one. A call never waits for the end of a backoff: told
   * at once that the agent cannot be reached, it is placed on another node.
   */
  acquire(callback: ConnectionCallback): void {
    const roomy = this.#connections.find(({ isUsable, hasRoom }) => isUsable && hasRoom);
    if (roomy !== undefined) return roomy.whenOpen(callback);
    const usable = this.#connections.filter(({ isUsable }) => isUsable);
    const { clock, limits } = this.#options;
    const mayConnect = usable.length < limits.maxConnectionsPerAgent && clock.nowMs() >= this.#notBeforeMs;
    if (mayConnect) return this.#connect(callback);
    const least = leastLoaded(usable);
    if (least === undefined) callback(undefined, this.#lastError);
    else least.whenOpen(callback);
  }

  /** The agent was reached in another way: whoever needs it may try at once. */
  endBackoff(): void {
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
  }

  /** Streams that still run are broken, and whoever waits is told. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const connection of this.#connections) connection.destroy();
  }

  #connect(callback: ConnectionCallback): void {
    const { clock, limits } = this.#options;
    let connection: PooledConnection;
    try {
      connection = new PooledConnection(this.#endpoint, clock, limits, this.#events);
    } catch (error) {
      this.#noteFailure(error);
      return callback(undefined, error);
    }
    this.#connections = [...this.#connections, connection];
    connection.whenOpen(callback);
  }

  #onClose(connection: PooledConnection, error: unknown, unserved: readonly ConnectionCallback[]): void {
    this.#connections = this.#connections.filter((other) => other !== connection);
    if (!connection.wasOpened && !this.#isDestroyed) this.#noteFailure(error);
    // A further connection that cannot be had is no reason to fail a call: the others are full, but they live.
    const other = leastLoaded(this.#connections.filter(({ isUsable, wasOpened }) => isUsable && wasOpened));
    for (const callback of unserved) callback(other, error);
    if (this.#connections.length === 0 && this.#failures === 0) this.#options.onEmpty();
  }

  #noteFailure(error: unknown): void {
    const { clock, rng, limits } = this.#options;
    const longestMs = Math.min(limits.backoffFirstMs * 2 ** Math.min(this.#failures, 10), limits.backoffLastMs);
    this.#failures++;
    this.#lastError = error;
    this.#notBeforeMs = clock.nowMs() + longestMs * (0.5 + rng.next() / 2);
  }
}

function leastLoaded(connections: readonly PooledConnection[]): PooledConnection | undefined {
  return connections.reduce<PooledConnection | undefined>(
    (least, each) => (least === undefined || each.load < least.load ? each : least),
    undefined,
  );
}

function sum(connections: readonly PooledConnection[], read: (connection: PooledConnection) => number): number {
  return connections.reduce((total, each) => total + read(each), 0);
}
