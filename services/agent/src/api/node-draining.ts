/** How callers are told that this node takes no new work, whatever the reason: an operator's drain, or the agent's own end. */
import { DroverError } from "@drover/platform";

/** A node that drains is back in seconds or not at all; callers should not ask it again at once. */
const DRAINING_RETRY_MS = 5_000;

export function nodeDraining(node: string): DroverError {
  const message = `Node "${node}" drains and takes no new calls. Use another node, or resume it.`;
  return new DroverError("node_draining", message, { facts: { node }, retryAfterMs: DRAINING_RETRY_MS });
}
