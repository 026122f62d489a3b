/**
 * Turns what went wrong between router and agent into an ending: OS error codes, HTTP/2 reset codes, HTTP statuses. The only
 * place on the router's side that reads them.
 */
import { constants } from "node:http2";
import { Code } from "@connectrpc/connect";
import { DroverError, type EndingKind } from "@drover/platform";

/** What is known of a stream that ended without trailers. */
export interface BrokenStream {
  readonly error?: unknown;
  /** Node reports CANCEL for a lost connection too, so it means a cancel only if we sent it. */
  readonly rstCode?: number;
}

export function brokenStreamError(broken: BrokenStream): DroverError {
  const [kind, what] = classify(broken);
  return new DroverError(kind, `The connection to the node ${what}`, { cause: broken.error });
}

/** What `request()` of a session throws: the session is closing, or a header is one that HTTP/2 cannot carry. */
export function unsentRequestError(cause: unknown): DroverError {
  const code = errorCode(cause) ?? "";
  if (code === "ERR_HTTP2_GOAWAY_SESSION" || code === "ERR_HTTP2_INVALID_SESSION")
    return brokenStreamError({ error: cause });
  if (!METADATA_CODES.has(code))
    return new DroverError("internal", "The call could not be sent to the node.", { cause });
  return new DroverError("malformed_request", "The call's metadata cannot be sent on: check its keys and values.", {
    cause,
  });
}

/** What Node says of headers that HTTP/2 cannot carry (doc/api/errors.md); anything else is no fault of the caller. */
const METADATA_CODES: ReadonlySet<string> = new Set([
  "ERR_HTTP2_HEADER_SINGLE_VALUE",
  "ERR_HTTP2_INVALID_CONNECTION_HEADERS",
  "ERR_HTTP2_INVALID_HEADER_VALUE",
  "ERR_HTTP2_INVALID_PSEUDOHEADER",
  "ERR_HTTP2_PSEUDOHEADER_NOT_ALLOWED",
  "ERR_INVALID_CHAR",
  "ERR_INVALID_HTTP_TOKEN",
]);

function classify({ error, rstCode }: BrokenStream): [EndingKind, string] {
  switch (errorCode(error)) {
    case "ECONNREFUSED":
      return ["node_unreachable", "was refused: is drover-agent running there?"];
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return ["node_unreachable", "failed: its host name does not resolve."];
    case "ERR_INVALID_URL":
      return ["node_unreachable", "failed: its endpoint is not an address."];
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return ["node_unreachable", "failed: its machine does not answer."];
    // The kernel resets the connections of a process that is killed with bytes unread. Node closes their streams with
    // INTERNAL_ERROR of its own making then: that code was said by nobody.
    case "ECONNRESET":
    case "EPIPE":
      return ["node_unreachable", "was lost."];
    case "ERR_HTTP2_GOAWAY_SESSION":
    case "ERR_HTTP2_INVALID_SESSION":
      return ["stream_refused", "was closing."];
    default:
      return classifyReset(rstCode);
  }
}

function classifyReset(rstCode: number | undefined): [EndingKind, string] {
  switch (rstCode) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return ["stream_refused", "took no more streams."];
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return ["stream_refused", "was limited by the node."];
    case constants.NGHTTP2_CANCEL:
    case undefined:
      return ["node_unreachable", "was lost."];
    default:
      return ["node_protocol_error", `was reset (HTTP/2 code ${rstCode}).`];
  }
}

/** An answer that is not gRPC: gRPC's own table of HTTP statuses (doc/http-grpc-status-mapping.md). */
export function notGrpcError(status: number, contentType: string | undefined): DroverError {
  const isMissing = status === 404;
  const answer = status === 200 ? `${contentType?.slice(0, 60) ?? "nothing"}` : `HTTP ${status}`;
  const hint = isMissing
    ? "is another program listening there, or an older agent?"
    : "is another program listening there?";
  const kind: EndingKind = isMissing ? "not_implemented" : "node_protocol_error";
  return new DroverError(kind, `The node answered ${answer} instead of gRPC: ${hint}`);
}

/** The kind for a status without a reason of ours: another version of the agent, or something between us and it. */
export function kindOfCode(code: Code): EndingKind {
  switch (code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return "request_rejected";
    case Code.Unimplemented:
      return "not_implemented";
    case Code.DeadlineExceeded:
      return "deadline_exceeded";
    case Code.Canceled:
      return "cancelled";
    case Code.ResourceExhausted:
      return "ollama_busy";
    case Code.PermissionDenied:
    case Code.Unauthenticated:
      return "permission_denied";
    case Code.DataLoss:
      return "output_incomplete";
    default:
      return "node_protocol_error";
  }
}

/** As the operating system or Node names it. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}
