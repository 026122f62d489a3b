/**
 * The one error that this client throws, whatever went wrong and whoever says so. It decides nothing.
 */
import type { ClientReason, DroverReason } from "./reasons.ts";
import type { GrpcStatus } from "./status.ts";

export interface DroverErrorInit {
  readonly reason: DroverReason;
  /** Default: `reason`. */
  readonly rawReason?: string | undefined;
  readonly status: GrpcStatus;
  readonly retryAfterMs?: number | undefined;
  readonly node?: string | undefined;
  readonly attempts?: number | undefined;
  readonly tokensReceived?: number;
  readonly partialText?: string;
  readonly callId?: string | undefined;
  readonly facts?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/**
 * Why a call failed. `message` is for people and says what to do; `reason` is for programs:
 *
 * ```ts
 * if (error instanceof DroverError && error.reason === "MODEL_NOT_FOUND") …
 * ```
 */
export class DroverError extends Error {
  override readonly name = "DroverError";
  /** Why, as one word. */
  readonly reason: DroverReason;
  /** The same as it came over the wire; differs where `reason` is "OTHER", since only a newer router knows it. */
  readonly rawReason: string;
  /** The gRPC status. */
  readonly status: GrpcStatus;
  /** When another try may succeed, in ms from now. Undefined: nobody said that waiting helps. */
  readonly retryAfterMs: number | undefined;
  /** Name of the node of the last attempt. Undefined: none was reached, or none was told. */
  readonly node: string | undefined;
  /** How many nodes were tried. Undefined: not told. */
  readonly attempts: number | undefined;
  /** Pieces of the answer that came before it failed; Ollama sends a token in each. */
  readonly tokensReceived: number;
  /** What came of the answer before it failed. Empty: nothing. */
  readonly partialText: string;
  /** The call's id, as in every log line of router and agents. Undefined: the call never arrived. */
  readonly callId: string | undefined;
  /** Further facts by name, such as `model`; which there are depends on the reason. */
  readonly facts: Readonly<Record<string, string>>;

  constructor(message: string, init: DroverErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.reason = init.reason;
    this.rawReason = init.rawReason ?? init.reason;
    this.status = init.status;
    this.retryAfterMs = init.retryAfterMs;
    this.node = init.node;
    this.attempts = init.attempts;
    this.tokensReceived = init.tokensReceived ?? 0;
    this.partialText = init.partialText ?? "";
    this.callId = init.callId;
    this.facts = init.facts ?? {};
  }
}

const STATUS_OF: Readonly<Record<ClientReason, GrpcStatus>> = {
  INVALID_ARGUMENT_LOCAL: "INVALID_ARGUMENT",
  CLIENT_CLOSED: "CANCELLED",
  ROUTER_UNREACHABLE: "UNAVAILABLE",
  CONNECTION_LOST: "UNAVAILABLE",
  TOKEN_UNAVAILABLE: "UNAUTHENTICATED",
  PROTOCOL_ERROR: "INTERNAL",
  UNSPECIFIED: "UNKNOWN",
  OUTPUT_INVALID: "DATA_LOSS",
  ANSWER_TOO_LONG: "RESOURCE_EXHAUSTED",
};

/** An error that this client finds itself. */
export function clientError(
  reason: ClientReason,
  message: string,
  init: Omit<DroverErrorInit, "reason" | "status"> = {},
): DroverError {
  return new DroverError(message, { ...init, reason, status: STATUS_OF[reason] });
}

/** A wrong argument or option. `message` names it and says what it must be. */
export function invalidArgument(message: string, cause?: unknown): DroverError {
  return clientError("INVALID_ARGUMENT_LOCAL", message, { cause });
}
