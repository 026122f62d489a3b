/**
 * The messages that the benchmark's agent streams: real ChatResponses of the size of a token, encoded once.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ChatRequestSchema, ChatResponseSchema } from "@drover/proto/drover/inference/v1/inference_pb";

export const MODEL = "bench:latest";
export const CHAT_PATH = "/drover.inference.v1.InferenceService/Chat";

const CREATED_AT = "2026-01-01T00:00:00.000000000Z";

export const CHUNK_FRAME = response({
  event: {
    case: "chunk",
    value: { model: MODEL, createdAt: CREATED_AT, message: { role: "assistant", content: " token" } },
  },
});

export const DONE_FRAME = response({
  event: { case: "done", value: { model: MODEL, createdAt: CREATED_AT, completion: { doneReason: "stop" } } },
});

export const REQUEST_FRAME = frame(
  toBinary(
    ChatRequestSchema,
    create(ChatRequestSchema, {
      model: MODEL,
      messages: [{ role: "user", content: "Say something of some length, please." }],
    }),
  ),
);

function response(init: MessageInitShape<typeof ChatResponseSchema>): Buffer {
  return frame(toBinary(ChatResponseSchema, create(ChatResponseSchema, init)));
}

export function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
