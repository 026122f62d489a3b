/**
 * Connect refuses a unary request that it cannot parse outside of all interceptors, without a reason and partly as INTERNAL. Its
 * answer is mended here: the status that the request deserves, ErrorInfo, the call's id. Errors of handlers have all of it.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { createAsyncIterable, encodeEnvelope, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { decodeGrpcMessage } from "../grpc-message.ts";
import { toConnectError, toGrpcTrailers } from "../grpc-status.ts";
import { META } from "../metadata.ts";
import { PREFIX_BYTES } from "../request-message.ts";
import { refusalOfConnect } from "./connect-refusals.ts";

/** For answers of Connect and gRPC-Web; gRPC's trailers are mended where they are written. */
export async function withReason(answer: UniversalServerResponse, callId: string): Promise<UniversalServerResponse> {
  const contentType = answer.header?.get("content-type") ?? "";
  const isConnectError = answer.status >= 400 && contentType === "application/json";
  if (!isConnectError && !contentType.startsWith("application/grpc-web")) return answer;
  const body = answer.body?.[Symbol.asyncIterator]();
  const first = await body?.next();
  if (body === undefined || first === undefined || first.done === true) return answer;
  const mended = isConnectError ? mendJson(answer, first.value) : mendTrailers(first.value);
  if (mended === undefined) return { ...answer, body: replay(first, body) };
  answer.header?.set(META.call, callId);
  return { ...answer, ...mended };
}

type Mended = Pick<UniversalServerResponse, "body"> & Partial<UniversalServerResponse>;

function mendJson({ header }: UniversalServerResponse, bytes: Uint8Array): Mended | undefined {
  const unread = new ConnectError("", Code.Unknown);
  const error = errorFromJsonBytes(bytes, undefined, unread);
  const known = error.details.length === 0 ? refusalOfConnect(error.code, error.rawMessage) : undefined;
  if (known === undefined) return undefined;
  const mended = toConnectError(known);
  const body = errorToJsonBytes(mended, {});
  header?.set("content-length", String(body.length));
  return { status: codeToHttpStatus(mended.code), body: createAsyncIterable([body]) };
}

/** Trailers alone: an error before the first message. */
function mendTrailers(envelope: Uint8Array): Mended | undefined {
  if (((envelope[0] ?? 0) & trailerFlag) === 0) return undefined;
  const trailers = trailerParse(envelope.subarray(PREFIX_BYTES));
  if (trailers.has(META.grpcStatusDetails)) return undefined;
  const message = decodeGrpcMessage(trailers.get(META.grpcMessage) ?? "");
  const known = refusalOfConnect(Number(trailers.get(META.grpcStatus) ?? 0), message);
  if (known === undefined) return undefined;
  for (const [key, value] of Object.entries(toGrpcTrailers(known))) trailers.set(key, String(value));
  return { body: createAsyncIterable([encodeEnvelope(trailerFlag, trailerSerialize(trailers))]) };
}

/** `body` with the result that was read already in front. Keeps throw and return, by which connect learns of a broken connection. */
export function replay<T>(first: IteratorResult<T>, body: AsyncIterator<T>): AsyncIterable<T> {
  let pending: IteratorResult<T> | undefined = first;
  const iterator: AsyncIterator<T> = {
    next: () => {
      if (pending === undefined) return body.next();
      const result = pending;
      pending = undefined;
      return Promise.resolve(result);
    },
    throw: (error) => body.throw?.(error) ?? Promise.reject(error),
    return: (value) => body.return?.(value) ?? Promise.resolve({ done: true, value }),
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
