/**
 * gRPC messages with their prefix, for tests: shaped as the wire has them, with bodies that mean nothing.
 */
import { Buffer } from "node:buffer";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ChatResponseSchema, ProgressSchema } from "@drover/proto/drover/inference/v1/inference_pb";

const PROGRESS_TAG = 0x0a;
const CHUNK_TAG = 0x12;
const DONE_TAG = 0x1a;

/** One message; `flag` 1 marks it as compressed. */
export function frame(body: Uint8Array | readonly number[], flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, Uint8Array.from(body)]);
}

export function progressFrame(text = ""): Buffer {
  return tagged(PROGRESS_TAG, text);
}

/** Progress that says something. */
export function wordFrame(kind: MessageInitShape<typeof ProgressSchema>["kind"]): Buffer {
  const event = { case: "progress" as const, value: create(ProgressSchema, kind === undefined ? {} : { kind }) };
  return frame(toBinary(ChatResponseSchema, create(ChatResponseSchema, { event })));
}

export function chunkFrame(text = ""): Buffer {
  return tagged(CHUNK_TAG, text);
}

export function doneFrame(text = ""): Buffer {
  return tagged(DONE_TAG, text);
}

/** As EmbedResponse: its first field has the number that is progress in a token stream. */
export function unaryFrame(text = "model"): Buffer {
  return tagged(PROGRESS_TAG, text);
}

function tagged(tag: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  return frame([tag, bytes.length, ...bytes]);
}
