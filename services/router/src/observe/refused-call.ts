/**
 * A call that ended before dispatch took it (too large, no message, no room): its one line in the log, its place in the metrics, and
 * its span below the caller's own.
 */
import {
  CallSpan,
  DroverError,
  type Logger,
  loggedMessage,
  type MetadataSource,
  reasonOf,
  rpcAttributes,
  statusName,
  type Telemetry,
  toConnectError,
} from "@drover/platform";

export interface RefusedCall {
  readonly id: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly metadata: MetadataSource;
  readonly error: unknown;
  /** Since its headers came. */
  readonly tookMs: number;
}

/** Returns the error as the caller shall see it. */
export type TellRefused = (refused: RefusedCall) => DroverError;

export function createTellRefused(log: Logger, telemetry: Telemetry): TellRefused {
  return ({ id, path, metadata, error: cause, tookMs }) => {
    const error = cause instanceof DroverError ? cause : unexpected(cause, id, log);
    const rpc = rpcAttributes(path, error);
    telemetry.record("rpcServerCallDuration", tookMs / 1_000, rpc);
    CallSpan.begin(telemetry.tracer, path.slice(1), metadata, { "drover.call": id, ...rpc })?.end(error);
    const status = statusName(error.ending.code);
    const reason = reasonOf(error.kind);
    const line = { call: id, path, status, reason, message: loggedMessage(error), totalMs: Math.round(tookMs) };
    // A peer that opens streams and resets them may not fill the log.
    if (error.kind === "cancelled") log.debug(line, "call refused");
    else log.info(line, "call refused");
    return error;
  };
}

function unexpected(error: unknown, callId: string, log: Logger): DroverError {
  return new DroverError("internal", toConnectError(error, { callId, log }).rawMessage, { cause: error });
}
