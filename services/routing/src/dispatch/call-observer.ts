/**
 * Who is told of calls and their attempts, for metrics and traces. Told at begin and end alone, never per message; what it does
 * must not throw, and changes nothing but the headers of an attempt.
 */
import type { DroverError, Metadata } from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import type { CallRequest } from "./call-request.ts";
import type { CallReport } from "./dispatcher.ts";
import type { Hang } from "./hang-watch.ts";

export interface CallObserver {
  callBegan(request: CallRequest): CallTrace;
}

export interface CallTrace {
  attemptBegan(attempt: number, node: NodeView): AttemptTrace;
  callEnded(report: CallReport): void;
}

/** `lost`: it was stopped because another attempt was faster or because the call ended. */
export type AttemptResult = "ok" | "lost" | DroverError;

export interface AttemptTrace {
  /** What the attempt's metadata carries on: traceparent and its kin. */
  readonly headers: Metadata;
  /** It hangs, and another attempt begins beside it. */
  attemptHung(hang: Hang): void;
  /** `trailers` are the node's; none where it did not get to send any. */
  attemptEnded(result: AttemptResult, trailers: Metadata): void;
}

const UNOBSERVED_ATTEMPT: AttemptTrace = {
  headers: {},
  attemptHung: () => undefined,
  attemptEnded: () => undefined,
};
const UNOBSERVED_CALL: CallTrace = { attemptBegan: () => UNOBSERVED_ATTEMPT, callEnded: () => undefined };

export const unobserved: CallObserver = { callBegan: () => UNOBSERVED_CALL };
