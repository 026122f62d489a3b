/**
 * What a call tells while no token can come: the contract's Progress as plain objects, and as a sentence for the message of a
 * deadline that passed.
 */
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { Progress as ProgressMessage } from "@drover/proto/drover/inference/v1/inference_pb";

/** What a call does while no token can come. Undefined numbers are not known. */
export type Progress =
  /** It waits for a slot, or at the router for a node. `position` counts the calls ahead. */
  | { readonly kind: "queued"; readonly position?: number | undefined; readonly expectedWaitMs?: number | undefined }
  /** The node loads the model. */
  | { readonly kind: "loading"; readonly elapsedMs?: number | undefined; readonly expectedMs?: number | undefined }
  /** The node reads the prompt. */
  | { readonly kind: "prefill"; readonly elapsedMs?: number | undefined; readonly expectedMs?: number | undefined }
  /** An attempt failed on `node` before its first token; the router tries again. */
  | { readonly kind: "retrying"; readonly node: string; readonly reason: string }
  /** Another node, this one, goes on with the answer; `isExact`: as if nothing had happened, token for token. */
  | { readonly kind: "resumed"; readonly node: string; readonly isExact: boolean };

/** Undefined for a kind that this version does not know. */
export function readProgress({ kind }: ProgressMessage): Progress | undefined {
  switch (kind.case) {
    case "queued":
      return { kind: "queued", position: kind.value.position, expectedWaitMs: optionalMs(kind.value.expectedWait) };
    case "loading":
    case "prefill":
      return {
        kind: kind.case,
        elapsedMs: optionalMs(kind.value.elapsed),
        expectedMs: optionalMs(kind.value.expected),
      };
    case "retrying":
      return { kind: "retrying", node: kind.value.node, reason: kind.value.reason };
    case "resumed":
      return { kind: "resumed", node: kind.value.node, isExact: kind.value.exact };
    default:
      return undefined;
  }
}

/** A sentence; empty for none. */
export function progressWords(progress: Progress | undefined): string {
  switch (progress?.kind) {
    case "queued":
      return `Last heard: it waited in a queue${progress.position === undefined ? "" : `, ${progress.position} ahead of it`}.`;
    case "loading":
      return "Last heard: the node was loading the model.";
    case "prefill":
      return "Last heard: the node was reading the prompt.";
    case "retrying":
      return `Last heard: node "${progress.node}" had failed (${progress.reason}) and another was tried.`;
    case "resumed":
      return `Last heard: node "${progress.node}" went on with the answer.`;
    case undefined:
      return "";
  }
}

export function optionalMs(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}
