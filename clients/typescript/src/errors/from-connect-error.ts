/**
 * Turns whatever a transport throws into a DroverError: the only place where foreign errors are understood. It knows connect's
 * errors and google.rpc details, nothing of calls.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { META, readNumber, readText } from "../metadata.ts";
import { clientError, DroverError, type DroverErrorInit, invalidArgument } from "./drover-error.ts";
import { causesOf } from "./error-causes.ts";
import { ERROR_DOMAIN, readReason, type ServerReason } from "./reasons.ts";
import { statusOf } from "./status.ts";

/** What the caller's side knows of a call that failed. */
export interface FailedCall {
  /** Whether the caller itself ended it. */
  readonly isCancelled: boolean;
  /** Why, as given to the caller's AbortSignal. */
  readonly cancelCause?: unknown;
  /** The call's deadline. Undefined: none. */
  readonly timeoutMs: number | undefined;
  /** Whether response headers came. */
  readonly hasAnswered: boolean;
  readonly callId?: string | undefined;
  readonly tokensReceived?: number;
  readonly partialText?: string;
  /** What was heard last while no token came, as a sentence; empty: nothing. */
  readonly lastProgress?: string;
}

const CANCELLED: ServerReason = "CANCELLED";
const DEADLINE_EXCEEDED: ServerReason = "DEADLINE_EXCEEDED";
const CONNECT_TIMER_WORDS = "the operation timed out";

/**
 * A code alone proves nothing: connect-node shows a lost connection as Canceled, Aborted or Internal, whatever Node's http2 said
 * first. So it goes by who ended the call, then by what the other side said, and only then by the code.
 */
export function toDroverError(error: unknown, call: FailedCall): DroverError {
  if (error instanceof DroverError) return error;
  if (call.isCancelled) return cancelled(call);
  const connect = ConnectError.from(error);
  const info = connect.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  if (info !== undefined) {
    return serverError(connect, call, { rawReason: info.reason, facts: info.metadata });
  }
  if (connect.code === Code.DeadlineExceeded && call.timeoutMs !== undefined) return deadlineExceeded(connect, call);
  if (connect.isWireError) return serverError(connect, call);
  // Of a header that HTTP does not allow, before anything was sent; what fetch throws is wrapped by connect.
  if (error instanceof TypeError) return invalidArgument(error.message, error);
  return isConnectionError(connect.code) ? connectionError(connect, call) : serverError(connect, call);
}

/** Something answered with a status; without a reason of Drover's it was a proxy, or is not Drover. */
function serverError(
  error: ConnectError,
  call: FailedCall,
  { rawReason, facts = {} }: Pick<DroverErrorInit, "rawReason" | "facts"> = {},
): DroverError {
  const { metadata } = error;
  const words = error.rawMessage === "" ? `The call ended with ${statusOf(error.code)}.` : error.rawMessage;
  return new DroverError(words, {
    ...received(call),
    reason: rawReason === undefined ? "UNSPECIFIED" : readReason(rawReason),
    rawReason,
    facts,
    status: statusOf(error.code),
    retryAfterMs: retryAfterMs(error),
    node: readText(metadata, META.node) ?? facts["node"],
    attempts: readNumber(metadata, META.attempts) ?? attemptOf(facts),
    callId: call.callId ?? callIdOf(metadata),
    cause: error,
  });
}

function cancelled(call: FailedCall): DroverError {
  const status = statusOf(Code.Canceled);
  return new DroverError("The caller ended this call.", {
    ...received(call),
    reason: CANCELLED,
    status,
    cause: call.cancelCause,
  });
}

/** The router ends a call a little before the deadline and says where the time went; here its word did not come in time. */
function deadlineExceeded(cause: ConnectError, call: FailedCall): DroverError {
  const heard = call.tokensReceived ?? 0;
  const where =
    heard > 0 ? `after ${heard} tokens had come` : call.hasAnswered ? "before the first token" : "unanswered";
  const message = `The deadline of ${call.timeoutMs} ms passed ${where}, by the caller's own timer.`;
  // A transport over several routers knows more than connect's own timer.
  const transport = cause.rawMessage === CONNECT_TIMER_WORDS ? "" : cause.rawMessage;
  return new DroverError([message, call.lastProgress ?? "", transport].filter((words) => words !== "").join(" "), {
    ...received(call),
    reason: DEADLINE_EXCEEDED,
    status: "DEADLINE_EXCEEDED",
    cause,
  });
}

function connectionError(cause: ConnectError, call: FailedCall): DroverError {
  const init = { ...received(call), cause };
  if (call.hasAnswered || !isUnreachable(cause)) {
    const words = `The connection to the router broke under the call, which may have run: ${cause.rawMessage}`;
    return clientError("CONNECTION_LOST", words, init);
  }
  return clientError("ROUTER_UNREACHABLE", `No router could be reached: ${unreachableWords(cause)}`, init);
}

/** Browsers say the same of a closed port and of a page that CORS does not allow. */
function unreachableWords(error: ConnectError): string {
  const [, ...causes] = causesOf(error);
  const deepest = causes.at(-1)?.message ?? error.rawMessage;
  return causes.length === 1 && causes.some(isFetchFailure)
    ? `${deepest}. Is it running at this address, and does its --cors-origin allow this page?`
    : `${deepest}. Is it running at this address?`;
}

function received({ callId, tokensReceived = 0, partialText = "" }: FailedCall) {
  return { callId, tokensReceived, partialText };
}

/** RetryInfo, else gRFC A6's pushback; a negative pushback says not to try again. */
function retryAfterMs(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? readNumber(error.metadata, META.retryPushbackMs) : durationMs(delay);
}

/** connect adds the response headers to the trailers of an error, so that the id may be there twice. */
function callIdOf(metadata: Headers): string | undefined {
  return readText(metadata, META.call)?.split(",", 1)[0];
}

function attemptOf(facts: Readonly<Record<string, string>>): number | undefined {
  const attempt = Number(facts["attempt"] ?? Number.NaN);
  return Number.isFinite(attempt) ? attempt : undefined;
}

/** The codes that connect's transports give to sockets that break; all others were said by somebody. */
function isConnectionError(code: Code): boolean {
  return [Code.Canceled, Code.Aborted, Code.Internal, Code.Unavailable, Code.Unknown].includes(code);
}

/** Nothing was sent: nobody listens, or the name leads nowhere. */
const NEVER_CONNECTED = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"];

function isUnreachable(error: ConnectError): boolean {
  return causesOf(error).some(
    (cause) => ("code" in cause && NEVER_CONNECTED.includes(String(cause.code))) || isFetchFailure(cause),
  );
}

/** Fetch says no more than this of a connection that it did not get, on purpose. */
function isFetchFailure(error: Error): boolean {
  return error instanceof TypeError && /fetch|network|load failed/i.test(error.message);
}
