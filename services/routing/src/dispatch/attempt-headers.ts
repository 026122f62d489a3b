/**
 * The metadata of an attempt: what the caller sent, and what the router tells the agent.
 */
import { formatGrpcTimeout, META, type Metadata } from "@drover/platform";
import type { CallRequest } from "./call-request.ts";
import type { LiveAttempt } from "./live-attempt.ts";

/** `timeLeftMs` until this router ends the call; Infinity sends no deadline on. */
export function attemptHeaders(request: CallRequest, attempt: LiveAttempt, timeLeftMs: number): Metadata {
  return {
    ...request.headers,
    [META.call]: request.id,
    [META.router]: attempt.node.routerSecret,
    [META.attempt]: String(attempt.number),
    [META.send]: String(attempt.lease.send),
    ...(attempt.number > 1 ? { [META.previousAttempts]: String(attempt.number - 1) } : {}),
    ...(timeLeftMs === Number.POSITIVE_INFINITY ? {} : { [META.grpcTimeout]: formatGrpcTimeout(timeLeftMs) }),
  };
}
