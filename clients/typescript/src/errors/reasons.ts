/**
 * The names of everything that can go wrong, as the type of `DroverError.reason`. It knows no messages and no statuses.
 */

/** ErrorInfo.domain of all that Drover says. */
export const ERROR_DOMAIN = "drover";

const SERVER_REASONS = [
  // The request.
  "MALFORMED_REQUEST",
  "REQUEST_REJECTED",
  "REQUEST_TOO_LARGE",
  "ENCODING_UNSUPPORTED",
  "NOT_IMPLEMENTED",
  "PERMISSION_DENIED",
  "CONTEXT_EXCEEDED",
  "CAPABILITY_MISSING",
  // The fleet.
  "MODEL_NOT_FOUND",
  "NODE_NOT_FOUND",
  "NODE_NAME_AMBIGUOUS",
  "FLEET_NOT_READY",
  "NO_NODE_AVAILABLE",
  "ROUTER_STOPPING",
  // The node.
  "NODE_LACKS_MODEL",
  "NODE_DRAINING",
  "WAIT_EXCEEDED",
  "QUEUE_FULL",
  "OVERLOADED",
  "NODE_UNREACHABLE",
  "STREAM_REFUSED",
  "NODE_PROTOCOL_ERROR",
  // The node's Ollama.
  "OLLAMA_UNREACHABLE",
  "OLLAMA_BUSY",
  "OLLAMA_DENIED",
  "OLLAMA_FAILED",
  "LOAD_FAILED",
  "OUT_OF_MEMORY",
  "RUNNER_CRASHED",
  "POISON",
  "NO_OUTPUT",
  "FIRST_TOKEN_TIMEOUT",
  // After the first token.
  "STREAM_BROKEN",
  "STREAM_STALLED",
  "OUTPUT_INCOMPLETE",
  "TOKEN_REPEAT",
  // The caller, and Drover itself.
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "CALLER_STALLED",
  "INTERNAL",
] as const;

/** What a router or an agent says in google.rpc.ErrorInfo.reason. A test holds this list equal to Drover's table of endings. */
export type ServerReason = (typeof SERVER_REASONS)[number];

export const CLIENT_REASONS = [
  /** An argument or an option is wrong. Nothing was sent. */
  "INVALID_ARGUMENT_LOCAL",
  /** The client was closed. */
  "CLIENT_CLOSED",
  /** No connection could be made, so the call never ran. In a browser: no answer began, and whether it ran is not known. */
  "ROUTER_UNREACHABLE",
  /** The connection broke under the call; it may have run. */
  "CONNECTION_LOST",
  /** The function that gives the token failed, or gave what is none. Nothing was sent. */
  "TOKEN_UNAVAILABLE",
  /** An answer that the contracts rule out, such as a stream that ended well without its last message. */
  "PROTOCOL_ERROR",
  /** A status without a reason of Drover's: from a proxy in between, or from something that is not Drover. */
  "UNSPECIFIED",
  /** The answer is not what the given schema asks for, or not JSON. The text is in `partialText`. */
  "OUTPUT_INVALID",
  /** The answer is longer than `text()` and `result()` collect. */
  "ANSWER_TOO_LONG",
] as const;

/** What this client says itself; nothing of it comes from a router. */
export type ClientReason = (typeof CLIENT_REASONS)[number];

/**
 * Every value of `DroverError.reason`, all literals: a comparison narrows, a misspelt one does not compile, a switch can be
 * complete. "OTHER" is what only a newer router knows; `DroverError.rawReason` has its name. Beside an open `string` none of this
 * would hold.
 */
export type DroverReason = ServerReason | ClientReason | "OTHER";

const KNOWN: ReadonlyMap<string, ServerReason | ClientReason> = new Map(
  [...SERVER_REASONS, ...CLIENT_REASONS].map((reason) => [reason, reason]),
);

/** The reason that an error carries: a router's, or that of a transport of this client. */
export function readReason(raw: string): DroverReason {
  return KNOWN.get(raw) ?? "OTHER";
}
