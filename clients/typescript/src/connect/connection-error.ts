/**
 * What goes wrong with a call between the client and a router: connect's own error with an ErrorInfo of Drover's domain, so that
 * the client reads it as it reads a router's, and adds what it had received. It decides nothing.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { type DroverReason, ERROR_DOMAIN } from "../errors/reasons.ts";

/** Those of the client's reasons that are found here, and the one that it shares with routers. */
export type ConnectionReason = Extract<
  DroverReason,
  | "DEADLINE_EXCEEDED"
  | "INVALID_ARGUMENT_LOCAL"
  | "ROUTER_UNREACHABLE"
  | "CONNECTION_LOST"
  | "PROTOCOL_ERROR"
  | "TOKEN_UNAVAILABLE"
>;

const CODES: Readonly<Record<ConnectionReason, Code>> = {
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  INVALID_ARGUMENT_LOCAL: Code.InvalidArgument,
  ROUTER_UNREACHABLE: Code.Unavailable,
  CONNECTION_LOST: Code.Unavailable,
  PROTOCOL_ERROR: Code.Internal,
  TOKEN_UNAVAILABLE: Code.Unauthenticated,
};

export interface ConnectionErrorOptions {
  /** For programs: ErrorInfo.metadata. */
  readonly facts?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

export function connectionError(
  reason: ConnectionReason,
  message: string,
  { facts = {}, cause }: ConnectionErrorOptions = {},
): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN, metadata: { ...facts } } };
  return new ConnectError(message, CODES[reason], undefined, [info], cause);
}
