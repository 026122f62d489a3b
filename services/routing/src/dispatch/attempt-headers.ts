/**
 * The metadata of an attempt: what the caller sent, and what the router tells the agent.
 */
import type { OutgoingHttpHeaders } from "node:http2";
import { formatGrpcTimeout, META } from "@drover/platform";
import type { Lease } from "../balancing/picker.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { CallRequest } from "./call-request.ts";

/** `timeLeftMs` until this router ends the call; Infinity sends no deadline on. */
export function attemptHeaders(
  request: CallRequest,
  node: NodeView,
  lease: Lease,
  attemptNumber: number,
  timeLeftMs: number,
): OutgoingHttpHeaders {
  return {
    ...request.headers,
    [META.call]: request.id,
    [META.router]: node.routerSecret,
    [META.attempt]: String(attemptNumber),
    [META.send]: String(lease.send),
    ...(attemptNumber > 1 ? { [META.previousAttempts]: String(attemptNumber - 1) } : {}),
    ...(timeLeftMs === Number.POSITIVE_INFINITY ? {} : { [META.grpcTimeout]: formatGrpcTimeout(timeLeftMs) }),
  };
}
