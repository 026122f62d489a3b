/**
 * What a call that ended before dispatch took it leaves behind: its one line in the log, its place in the metrics, and its span below
 * the caller's own.
 */
import {
  CallSpan,
  type Logger,
  loggedMessage,
  reasonOf,
  rpcAttributes,
  statusName,
  type Telemetry,
} from "@drover/platform";
import { refusalError, type TellRefused } from "@drover/routing";

export function createTellRefused(log: Logger, telemetry: Telemetry): TellRefused {
  return (refused) => {
    const { id, path, metadata, tookMs } = refused;
    const error = refusalError(refused, log);
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
