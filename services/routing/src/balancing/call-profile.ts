/**
 * What a pick needs to know of a call, read once from the request and its metadata. It holds nothing of the prompt.
 */
import type { Labels } from "@drover/platform";

export interface CallProfile {
  /** As the caller wrote it, for messages. */
  readonly model: string;
  /** Canonical: equal keys are one model by Ollama's rules. */
  readonly modelKey: string;
  /** Capabilities that the model must have, in Ollama's words. */
  readonly capabilities: readonly string[];
  /** Metadata drover-labels: all must match. */
  readonly labels: Labels;
  /** Metadata drover-node: this node (id or name) and no other. */
  readonly node: string | undefined;
  /** Metadata drover-session. */
  readonly session: string | undefined;
  /** The request sets the context itself (num_ctx), so every node would give it the same. */
  readonly namesContext: boolean;
  /** Tokens that were too few: only nodes whose context for the model is known to be larger may be asked. 0: any may. */
  readonly contextAbove: number;
  /** A node refused for want of a capability: only nodes that are known to have all of them may be asked. */
  readonly mustTellCapabilities: boolean;
}
