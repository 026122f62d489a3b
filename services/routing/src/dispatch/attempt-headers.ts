/**
 * The metadata of an attempt: what the caller sent, and what the router tells the agent.
 */
import { formatGrpcTimeout, META, type Metadata } from "@drover/platform";
import type { CallRequest } from "./call-request.ts";
import type { LiveAttempt } from "./live-attempt.ts";

export interface TimeLeft {
  /** Until this router ends the call; Infinity sends no deadline on. */
  readonly callMs: number;
  /** Until the caller has waited long enough for its first token, 0 and up. */
  readonly waitMs: number;
}

export function attemptHeaders(request: CallRequest, attempt: LiveAttempt, timeLeft: TimeLeft): Metadata {
  return {
    ...request.headers,
    ...attempt.trace.headers,
    [META.call]: request.id,
    [META.router]: attempt.node.routerSecret,
    [META.attempt]: String(attempt.number),
    [META.send]: String(attempt.lease.send),
    ...(attempt.number > 1 ? { [META.previousAttempts]: String(attempt.number - 1) } : {}),
    [META.maxWaitMs]: String(Math.floor(timeLeft.waitMs)),
    ...(timeLeft.callMs === Number.POSITIVE_INFINITY ? {} : { [META.grpcTimeout]: formatGrpcTimeout(timeLeft.callMs) }),
  };
}
