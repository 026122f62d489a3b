/**
 * How a call or an attempt can end badly: one row per kind, with its gRPC status, whether another node may be tried, and
 * whom it counts against. The only place where these three are decided; it knows nothing of wires or of nodes.
 */
import { Code } from "@connectrpc/connect";

/**
 * Whether another node may be tried before the commit.
 * - `free`: it provably never ran, or the node went away; placed again at no charge, once per node.
 * - `charged`: a live node answered with a failure; costs retry budget.
 * - `once`: as `charged`, but only a second node, never a third.
 * - `suited`: only nodes that differ in what was missing (a larger context, the capability).
 * - `never`: the next node would say the same, or the call is over.
 */
export type Elsewhere = "free" | "charged" | "once" | "suited" | "never";

/** Whose failure it is: counts towards ejection of the node, or of this model on this node. */
export type Blame = "nobody" | "node" | "node-and-model";

export interface Ending {
  readonly code: Code;
  readonly elsewhere: Elsewhere;
  readonly blame: Blame;
}

const ending = (code: Code, elsewhere: Elsewhere = "never", blame: Blame = "nobody"): Ending => ({
  code,
  elsewhere,
  blame,
});

export const ENDINGS = {
  // The request.
  malformed_request: ending(Code.InvalidArgument),
  request_rejected: ending(Code.InvalidArgument),
  request_too_large: ending(Code.ResourceExhausted),
  encoding_unsupported: ending(Code.Unimplemented),
  not_implemented: ending(Code.Unimplemented),
  permission_denied: ending(Code.PermissionDenied),
  context_exceeded: ending(Code.InvalidArgument, "suited"),
  capability_missing: ending(Code.FailedPrecondition, "suited"),
  // The fleet, decided by the router.
  model_not_found: ending(Code.NotFound),
  node_not_found: ending(Code.NotFound),
  node_name_ambiguous: ending(Code.FailedPrecondition),
  fleet_not_ready: ending(Code.Unavailable),
  no_node_available: ending(Code.Unavailable),
  router_stopping: ending(Code.Unavailable),
  // The node.
  node_lacks_model: ending(Code.NotFound, "charged"),
  node_draining: ending(Code.Unavailable, "free"),
  // None of these ran: another node may have room, or a shorter queue.
  wait_exceeded: ending(Code.ResourceExhausted, "free"),
  queue_full: ending(Code.ResourceExhausted, "free"),
  overloaded: ending(Code.ResourceExhausted, "free"),
  node_unreachable: ending(Code.Unavailable, "free", "node"),
  stream_refused: ending(Code.Unavailable, "free"),
  node_protocol_error: ending(Code.Unavailable, "charged", "node"),
  // The node's Ollama.
  ollama_unreachable: ending(Code.Unavailable, "free", "node"),
  ollama_busy: ending(Code.ResourceExhausted, "charged"),
  ollama_denied: ending(Code.FailedPrecondition, "charged", "node-and-model"),
  ollama_failed: ending(Code.Unknown, "once", "node-and-model"),
  load_failed: ending(Code.FailedPrecondition, "charged", "node-and-model"),
  out_of_memory: ending(Code.ResourceExhausted, "charged", "node-and-model"),
  runner_crashed: ending(Code.Unavailable, "once", "node-and-model"),
  poison: ending(Code.FailedPrecondition),
  no_output: ending(Code.Unavailable, "charged", "node"),
  first_token_timeout: ending(Code.Unavailable, "charged", "node"),
  // After the commit.
  stream_broken: ending(Code.Unavailable, "never", "node"),
  stream_stalled: ending(Code.Unavailable, "never", "node"),
  output_incomplete: ending(Code.DataLoss, "never", "node"),
  token_repeat: ending(Code.DataLoss),
  // The caller, and ourselves.
  deadline_exceeded: ending(Code.DeadlineExceeded),
  cancelled: ending(Code.Canceled),
  caller_stalled: ending(Code.ResourceExhausted),
  internal: ending(Code.Internal),
} as const satisfies Record<string, Ending>;

export type EndingKind = keyof typeof ENDINGS;

/** ErrorInfo.reason of a kind: UPPER_SNAKE_CASE, as google.rpc.ErrorInfo asks. */
export function reasonOf(kind: EndingKind): string {
  return kind.toUpperCase();
}

/** The kind that an ErrorInfo.reason names; undefined for a reason of another version or another product. */
export function kindOfReason(reason: string): EndingKind | undefined {
  const kind = reason.toLowerCase();
  return Object.hasOwn(ENDINGS, kind) ? (kind as EndingKind) : undefined;
}
