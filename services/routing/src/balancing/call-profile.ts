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
}
