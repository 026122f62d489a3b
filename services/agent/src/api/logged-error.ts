/** How the failure of a call reads in the log: never with what its caller said. */
import { DroverError, type EndingKind, loggedMessage, reasonOf, statusName } from "@drover/platform";

export interface LoggedError {
  /** gRPC's name of it. */
  readonly status: string;
  /** As callers see it in ErrorInfo. */
  readonly reason: string;
  readonly message: string;
  readonly cause: string | undefined;
}

/** Refusals have no cause to look for on the node. */
const CALLERS_FAULT: ReadonlySet<EndingKind> = new Set(["request_rejected", "malformed_request"]);

export function loggedError(error: unknown): LoggedError {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause !== undefined ? String(error.cause) : undefined;
  if (!(error instanceof DroverError)) return { status: "INTERNAL", reason: "INTERNAL", message, cause };
  return {
    status: statusName(error.ending.code),
    reason: reasonOf(error.kind),
    message: loggedMessage(error),
    cause: CALLERS_FAULT.has(error.kind) ? undefined : cause,
  };
}
