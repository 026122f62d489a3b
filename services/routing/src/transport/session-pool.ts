/**
 * The connections to all agents, by endpoint. It holds nothing for an agent that nobody calls, beside a failure to reach it.
 */
import type { Clock, Rng } from "@drover/platform";
import { AgentPool, EMPTY_POOL, type PoolReport } from "./agent-pool.ts";
import { POOL_DEFAULTS, type PoolLimits } from "./pool-limits.ts";
import type { ConnectionCallback } from "./pooled-connection.ts";

/** Endpoints that are remembered though nothing runs to them: as many as a fleet may have. */
export const ENDPOINTS_MAX = 10_000;

export interface SessionPoolOptions extends Partial<PoolLimits> {
  readonly clock: Clock;
  readonly rng: Rng;
}

export class SessionPool {
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #limits: PoolLimits;
  readonly #pools = new Map<string, AgentPool>();
  #isDestroyed = false;

  constructor({ clock, rng, ...limits }: SessionPoolOptions) {
    this.#clock = clock;
    this.#rng = rng;
    this.#limits = { ...POOL_DEFAULTS, ...limits };
  }

  /** Calls back with a connection that takes streams, at once when there is one, or with why there is none. */
  acquire(endpoint: string, callback: ConnectionCallback): void {
    if (this.#isDestroyed) return callback(undefined, new Error("the pool was destroyed"));
    const pool = this.#pools.get(endpoint) ?? this.#add(endpoint);
    pool.acquire(callback);
  }

  /** The agent there was just reached, by its Attach stream: if it could not be connected to before, it can be now. */
  noteReachable(endpoint: string): void {
    this.#pools.get(endpoint)?.endBackoff();
  }

  report(endpoint: string): PoolReport {
    return this.#pools.get(endpoint)?.report ?? EMPTY_POOL;
  }

  /** Ends every connection; streams that still run are broken. None is opened afterwards, not even to try them again. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const pool of this.#pools.values()) pool.destroy();
    this.#pools.clear();
  }

  #add(endpoint: string): AgentPool {
    this.#forgetOldest();
    const onEmpty = (): void => {
      if (this.#pools.get(endpoint) === pool) this.#pools.delete(endpoint);
    };
    const pool = new AgentPool(endpoint, { clock: this.#clock, rng: this.#rng, limits: this.#limits, onEmpty });
    this.#pools.set(endpoint, pool);
    return pool;
  }

  /** Endpoints that come and go, and fail, would fill the memory. */
  #forgetOldest(): void {
    if (this.#pools.size < ENDPOINTS_MAX) return;
    for (const [endpoint, pool] of this.#pools) {
      if (pool.report.connections > 0) continue;
      this.#pools.delete(endpoint);
      return;
    }
  }
}
