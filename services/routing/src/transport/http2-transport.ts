/**
 * Attempts over HTTP/2, on pooled connections.
 */
import type { Clock } from "@drover/platform";
import { AgentAttempt } from "./agent-attempt.ts";
import type { AgentTransport } from "./attempt.ts";
import { SessionPool } from "./session-pool.ts";

export interface Http2Transport extends AgentTransport {
  /** Closes every connection. */
  destroy(): void;
}

export function createHttp2Transport(clock: Clock): Http2Transport {
  const pool = new SessionPool(clock);
  return {
    open: (request, listener) => new AgentAttempt(pool, request, listener),
    destroy: () => pool.destroy(),
  };
}
