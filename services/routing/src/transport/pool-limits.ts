/** The numbers of the connections to agents: their meaning and defaults. */

export interface PoolLimits {
  /** Connections to one agent that take streams. */
  readonly maxConnectionsPerAgent: number;
  /** A further connection is opened when each of the others has so many streams, or as many as the agent allows. */
  readonly streamsPerConnection: number;
  /** A machine that is up answers in milliseconds; one that is gone must not hold a call. */
  readonly connectTimeoutMs: number;
  /** As KeepAliveOptions: a call without a deadline hangs for twice that on a machine that lost power. */
  readonly pingIntervalMs: number;
  /** As KeepAliveOptions. */
  readonly idleTimeoutMs: number;
  /** After a failure to connect nobody tries again for so long; it doubles with each failure in a row, each time shortened by a random part. */
  readonly backoffFirstMs: number;
  readonly backoffLastMs: number;
}

export const POOL_DEFAULTS: PoolLimits = {
  // A router's calls are many and short, and one connection carries as many streams as an agent takes.
  maxConnectionsPerAgent: 1,
  // The least that a peer should allow (RFC 9113, 6.5.2).
  streamsPerConnection: 100,
  connectTimeoutMs: 3_000,
  pingIntervalMs: 10_000,
  idleTimeoutMs: 300_000,
  // As the Attach stream to the same agent tries again.
  backoffFirstMs: 100,
  backoffLastMs: 2_000,
};
