/**
 * What the end of an attempt means: success, or a failure with its kind. Knows gRPC's trailers and Drover's reasons, but
 * not what is done about them.
 */

import { Code } from "@connectrpc/connect";
import {
  DroverError,
  droverErrorFromGrpc,
  type EndingKind,
  loggedMessage,
  type Metadata,
  readGrpcStatus,
  reasonOf,
  statusName,
} from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import { type Verdict, verdictOf } from "../health/health-gate.ts";
import type { AttemptEnd } from "../transport/attempt.ts";
import { kindOfCode } from "../transport/transport-error.ts";
import type { CallRequest } from "./call-request.ts";
import type { LiveAttempt } from "./live-attempt.ts";

export interface Answered {
  readonly isUnary: boolean;
  readonly messages: number;
  readonly outputs: number;
  readonly hasDone: boolean;
}

export interface Answer {
  /** Undefined: success. */
  readonly error: DroverError | undefined;
  readonly trailers: Metadata;
}

function readAnswer(end: AttemptEnd, answered: Answered): Answer {
  // After `done` the caller has the whole answer: that the connection broke before the trailers takes nothing from it.
  const isWhole = !answered.isUnary && answered.hasDone;
  if (end.kind === "broken") return { error: isWhole ? undefined : end.error, trailers: {} };
  const { trailers } = end;
  const status = readGrpcStatus(trailers);
  if (status === undefined) {
    return {
      error: new DroverError("node_protocol_error", "The node ended its answer without a gRPC status."),
      trailers,
    };
  }
  if (status.code !== 0) {
    const error = droverErrorFromGrpc(status.code, status.message, trailers);
    return {
      error: error ?? new DroverError(kindOfCode(status.code), status.message || "The node gave no reason."),
      trailers,
    };
  }
  return { error: incompleteAnswer(answered), trailers };
}

/** An OK that does not hold what OK promises: a stream without `done`, a unary call without exactly one answer. */
function incompleteAnswer({ isUnary, messages, outputs, hasDone }: Answered): DroverError | undefined {
  if (isUnary) return messages === 1 ? undefined : notOneMessage(messages);
  if (hasDone) return undefined;
  return outputs === 0
    ? new DroverError("no_output", "The node ended the stream without any output.")
    : new DroverError("output_incomplete", "The node ended the stream without `done`.");
}

/** The end of a unary attempt that answered anything but one message. */
export function notOneMessage(messages: number): DroverError {
  return new DroverError("node_protocol_error", `The node answered ${messages} messages instead of one.`);
}

/** What the end of an attempt means for its call and for its node. */
export interface Outcome {
  /** As the caller sees it; undefined: success. */
  readonly failure: DroverError | undefined;
  readonly verdict: Verdict;
  readonly trailers: Metadata;
}

export function outcomeOf(end: AttemptEnd, attempt: LiveAttempt, { isUnary, profile }: CallRequest): Outcome {
  const { error, trailers } = readAnswer(end, { ...attempt, isUnary });
  if (error === undefined) return { failure: undefined, verdict: "success", trailers };
  const failure = attemptFailure(error, attempt.node, attempt.number, profile.model);
  return { failure, verdict: verdictOf(error.kind), trailers };
}

/** The failure as the caller sees it: with model, node and attempt. */
function attemptFailure(error: DroverError, node: NodeView, attempt: number, model: string): DroverError {
  const message = `${error.message} (node "${node.name}", attempt ${attempt})`;
  return new DroverError(error.kind, message, {
    facts: { ...error.facts, model, node: node.name, attempt: String(attempt) },
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    cause: error.cause,
  });
}

/** What an agent already tells as an end after the first token. */
const BROKEN_IN_MIDSTREAM: ReadonlySet<EndingKind> = new Set(["stream_broken", "stream_stalled", "output_incomplete"]);

/** After the commit the caller holds a part of the answer: whatever broke, it must not look like a clean end. */
export function brokenAfterCommit(failure: DroverError, outputs: number): DroverError {
  const after = `${outputs} message${outputs === 1 ? "" : "s"}`;
  const advice = failure.ending.code === Code.Unavailable ? ", ask again" : "";
  const message = `The answer broke off after ${after}${advice}: ${failure.message}`;
  const isTransport = failure.ending.blame === "node" && !BROKEN_IN_MIDSTREAM.has(failure.kind);
  return new DroverError(isTransport ? "stream_broken" : failure.kind, message, {
    facts: { ...failure.facts, messages: String(outputs) },
    cause: failure.cause ?? failure,
  });
}

/** The end of a call that met an error of our own. */
export function unexpectedFailure(callId: string, cause: unknown): DroverError {
  return new DroverError("internal", `Drover failed on this call; its log says why. Call ${callId}.`, { cause });
}

/** When to try again where nothing better is known: what is away comes back in seconds, or another node is found. */
const RETRY_AFTER_MS = 1_000;

/** The error that ends a call before its first token: where a wait helps, it says for how long. */
export function withRetryHint(error: DroverError | undefined): DroverError | undefined {
  if (error?.ending.code !== Code.Unavailable || error.retryAfterMs !== undefined) return error;
  const { kind, message, facts, cause } = error;
  return new DroverError(kind, message, { facts, cause, retryAfterMs: RETRY_AFTER_MS });
}

/** For log lines: the status by its name, the reason as callers see it, our own words, and the cause that callers never see. */
export function describeFailure(failure: DroverError): Record<string, unknown> {
  const cause = causeOf(failure);
  const status = statusName(failure.ending.code);
  const message = loggedMessage(failure);
  return { status, reason: reasonOf(failure.kind), message, ...(cause === undefined ? {} : { cause }) };
}

/** After the commit it is the node's own error, with Ollama's words. */
function causeOf({ cause }: DroverError): string | undefined {
  if (cause instanceof DroverError) return loggedMessage(cause);
  return cause instanceof Error ? cause.message : undefined;
}
