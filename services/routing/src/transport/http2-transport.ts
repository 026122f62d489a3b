/**
 * Attempts over HTTP/2, on pooled connections.
 */
import { AgentAttempt } from "./agent-attempt.ts";
import type { PoolReport } from "./agent-pool.ts";
import type { AgentTransport } from "./attempt.ts";
import { SessionPool, type SessionPoolOptions } from "./session-pool.ts";

export interface Http2Transport extends AgentTransport {
  /** The connections to the agent at this endpoint. */
  report(endpoint: string): PoolReport;
  /** The agent at this endpoint was just reached on another connection. */
  noteReachable(endpoint: string): void;
  /** Closes every connection. */
  destroy(): void;
}

export function createHttp2Transport(options: SessionPoolOptions): Http2Transport {
  const pool = new SessionPool(options);
  return {
    open: (request, listener) => new AgentAttempt(pool, request, listener),
    report: (endpoint) => pool.report(endpoint),
    noteReachable: (endpoint) => pool.noteReachable(endpoint),
    destroy: () => pool.destroy(),
  };
}
