/**
 * What the agent of an attempt said last of its work, in words for the message of a deadline that passed before its own answer
 * came. It adds nothing to what the agent said: what happened since then nobody knows.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Progress } from "@drover/proto/drover/inference/v1/inference_pb";

export interface LastWord {
  readonly progress: Progress;
  readonly heardAtMs: number;
}

/** A sentence: `Node "a", last heard 0.5 s before, was loading the model for 2.0 s.` Empty for what a newer agent may say. */
export function wordOf(node: string, { progress, heardAtMs }: LastWord, nowMs: number): string {
  const doing = doingOf(progress);
  return doing === undefined ? "" : `Node "${node}", last heard ${seconds(nowMs - heardAtMs)} before, ${doing}.`;
}

function doingOf({ kind }: Progress): string | undefined {
  switch (kind.case) {
    case "queued":
      return `had the call in its queue${aheadOf(kind.value.position)}`;
    case "loading":
      return `was loading the model${forOf(kind.value.elapsed)}`;
    case "prefill":
      return `was reading the prompt${forOf(kind.value.elapsed)}`;
    default:
      return undefined;
  }
}

function aheadOf(position: number | undefined): string {
  return position === undefined ? "" : ` with ${position} ahead of it`;
}

function forOf(elapsed: Parameters<typeof durationMs>[0] | undefined): string {
  return elapsed === undefined ? "" : ` for ${seconds(durationMs(elapsed))}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
