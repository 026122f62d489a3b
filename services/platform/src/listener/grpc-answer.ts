/**
 * Writes connect's answer to a gRPC call on HTTP/2: an error before the first message as true Trailers-Only, which connect-node
 * never sends, and every error with its reason. All other answers it leaves to connect-node.
 */
import type { Http2ServerResponse, OutgoingHttpHeaders } from "node:http2";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { decodeGrpcMessage } from "../grpc-message.ts";
import { toGrpcTrailers } from "../grpc-status.ts";
import { META } from "../metadata.ts";
import { refusalOfConnect } from "./connect-refusals.ts";
import { replay } from "./reasoned-answer.ts";

/** gRPC proper; gRPC-Web carries its trailers in the body. */
export function isGrpc(answer: UniversalServerResponse): boolean {
  return /^application\/grpc(\+|$)/.test(answer.header?.get("content-type") ?? "");
}

/**
 * An error before the first message goes out as true Trailers-Only, one HEADERS frame: C-core and grpc-js retry only those.
 * Trailers are complete once the body has ended, so the first read tells.
 */
export async function writeGrpc(answer: UniversalServerResponse, response: Http2ServerResponse): Promise<void> {
  const body = answer.body?.[Symbol.asyncIterator]();
  const first = await body?.next();
  const code = Number(answer.trailer?.get(META.grpcStatus) ?? 0);
  if (first?.done === true && code !== 0 && !response.stream.destroyed) {
    const trailers = {
      ...Object.fromEntries(answer.trailer ?? []),
      ...missingDetails(code, answer.trailer),
    };
    response.stream.respond(
      { ":status": answer.status, ...Object.fromEntries(answer.header ?? []), ...trailers },
      { endStream: true },
    );
    return;
  }
  const rest = body === undefined || first === undefined ? {} : { body: replay(first, body) };
  await universalResponseToNodeResponse(
    { ...answer, ...rest },
    response as Parameters<typeof universalResponseToNodeResponse>[1],
  );
}

/** Connect's own errors carry no ErrorInfo. */
function missingDetails(code: number, trailer: Headers | undefined): OutgoingHttpHeaders {
  if (trailer?.has(META.grpcStatusDetails) === true) return {};
  const known = refusalOfConnect(code, decodeGrpcMessage(trailer?.get(META.grpcMessage) ?? ""));
  return known === undefined ? {} : toGrpcTrailers(known);
}
