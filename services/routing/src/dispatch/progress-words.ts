/**
 * The progress messages that a router sends of itself, ready for the wire. Chat and Generate have progress in the same field, so
 * one form serves both streams; Embed has none.
 */
import { Buffer } from "node:buffer";
import { create, toBinary } from "@bufbuild/protobuf";
import { type DroverError, protoDuration, reasonOf } from "@drover/platform";
import { ChatResponseSchema, type Progress, ProgressSchema } from "@drover/proto/drover/inference/v1/inference_pb";

const PREFIX_BYTES = 5;

/** Where a call stands that waits for any node. */
export interface RouterQueue {
  /** Calls for the same model that came before it and wait too. */
  readonly position: number;
  /** Until a node may take it, in ms; undefined when nobody knows. */
  readonly expectedMs: number | undefined;
}

export function queuedFrame({ position, expectedMs }: RouterQueue): Uint8Array {
  const value = expectedMs === undefined ? { position } : { position, expectedWait: protoDuration(expectedMs) };
  return frameOf(create(ProgressSchema, { kind: { case: "queued", value } }));
}

/** `failure` is the last attempt's. */
export function retryingFrame({ kind, facts }: DroverError): Uint8Array {
  const value = { node: facts["node"] ?? "", reason: reasonOf(kind) };
  return frameOf(create(ProgressSchema, { kind: { case: "retrying", value } }));
}

function frameOf(progress: Progress): Uint8Array {
  const event = { case: "progress" as const, value: progress };
  const message = toBinary(ChatResponseSchema, create(ChatResponseSchema, { event }));
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
