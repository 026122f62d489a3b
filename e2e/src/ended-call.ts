/** How a raw gRPC call ended, with everything that the contract promises of an ending decoded. */
import type { IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { decodeGrpcMessage } from "@drover/platform";
import { type ChatRequest, ChatRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { ErrorInfoSchema, RetryInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { StatusSchema } from "@drover/proto/google/rpc/status_pb";
import type { RawAnswer } from "../../services/router/test/raw-call.ts";

export interface Ended {
  readonly status: number;
  readonly message: string;
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  /** ErrorInfo.metadata. */
  readonly facts: Readonly<Record<string, string>>;
  /** RetryInfo.retry_delay. */
  readonly retryDelayMs: number | undefined;
  /** `grpc-retry-pushback-ms`. */
  readonly pushbackMs: number | undefined;
  readonly isTrailersOnly: boolean;
  readonly messages: number;
  /** With those that came as headers when there was nothing else. */
  readonly trailers: IncomingHttpHeaders;
}

export function readEnded(answer: RawAnswer): Ended {
  const trailers = answer.trailers ?? answer.headers;
  const encoded = String(trailers["grpc-status-details-bin"] ?? "");
  const { details } = fromBinary(StatusSchema, Buffer.from(encoded, "base64"));
  const info = details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((found) => found !== undefined);
  const retry = details.map((detail) => anyUnpack(detail, RetryInfoSchema)).find((found) => found !== undefined);
  const pushback = trailers["grpc-retry-pushback-ms"];
  return {
    status: Number(trailers["grpc-status"] ?? Number.NaN),
    message: decodeGrpcMessage(String(trailers["grpc-message"] ?? "")),
    reason: info?.reason,
    domain: info?.domain,
    facts: info?.metadata ?? {},
    retryDelayMs: retry?.retryDelay === undefined ? undefined : durationMs(retry.retryDelay),
    pushbackMs: pushback === undefined ? undefined : Number(pushback),
    isTrailersOnly: answer.isTrailersOnly,
    messages: countMessages(answer.data),
    trailers,
  };
}

function countMessages(data: Buffer): number {
  let count = 0;
  for (let at = 0; at + 5 <= data.length; at += 5 + data.readUInt32BE(at + 1)) count++;
  return count;
}

type ChatInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

/** What `chatBytes` says unless told otherwise; no log may hold it. */
export const PROMPT = "hello, and tell nobody: xyzzy-4711";

export function chatBytes(request: ChatInit): Uint8Array {
  return toBinary(
    ChatRequestSchema,
    create(ChatRequestSchema, { messages: [{ role: "user", content: PROMPT }], ...request }),
  );
}
