/**
 * Answers to HTTP requests that no handler of a method sees: pages for people, and errors in the words of whatever the caller
 * seems to speak. Writes answers; judges no request.
 */
import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamToJson, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import type { universalRequestFromNodeRequest } from "@connectrpc/connect-node";
import { DroverError } from "../drover-error.ts";
import { toConnectError, toGrpcTrailers } from "../grpc-status.ts";
import type { FormRefusal } from "./request-form.ts";

export type NodeServerRequest = Parameters<typeof universalRequestFromNodeRequest>[0];
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeServerRequest, response: NodeResponse) => void;

/** A short text and the end; the request's body is not read. */
export function answerPlainly(response: NodeResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(text);
}

/**
 * To gRPC and gRPC-Web as their status, to who looks as text, to streams of Connect as their end, because their clients read no body of
 * another HTTP status, and to all others as Connect's JSON, which `curl` shows as well.
 */
export function answerRefusal(request: NodeServerRequest, response: NodeResponse, refusal: FormRefusal): void {
  const { httpStatus, headers, error } = refusal;
  const contentType = request.headers["content-type"] ?? "";
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (contentType.startsWith("application/grpc")) return answerGrpc(response, contentType, error);
  if (isRead(request)) return answerPlainly(response, httpStatus, `${error.message}\n${help(request)}`);
  const isStream = contentType.startsWith("application/connect+") && httpStatus !== UNSUPPORTED_MEDIA_TYPE;
  response.statusCode = isStream ? 200 : httpStatus;
  response.setHeader("content-type", isStream ? contentType : "application/json");
  response.end(isStream ? endOfStream(error) : errorToJsonBytes(toConnectError(error), {}));
}

/** Says that the content type is no such stream's. */
const UNSUPPORTED_MEDIA_TYPE = 415;

function endOfStream(error: DroverError): Uint8Array {
  const end = endStreamToJson(new Headers(), toConnectError(error), {});
  return encodeEnvelope(endStreamFlag, Buffer.from(JSON.stringify(end)));
}

/** Nothing here, in the words of the caller's protocol. `services` are the names of those that are. */
export function answerUnknownPath(services: readonly string[]): NodeHandler {
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    if (!isRead(request)) {
      const error = new DroverError("not_implemented", `This Drover has no method ${path.slice(0, 200)}.`);
      return answerRefusal(request, response, { httpStatus: 404, headers: {}, error });
    }
    const isRoot = path === "/";
    const about = isRoot ? "This is a port of Drover, for programs." : "There is nothing here.";
    answerPlainly(response, isRoot ? 200 : 404, `${about}\n\nIt serves ${services.join(", ")}.\n${help(request)}`);
  };
}

/** A browser's request, or one typed by hand to look. */
function isRead({ method }: NodeServerRequest): boolean {
  return method === "GET" || method === "HEAD";
}

function help(request: NodeServerRequest): string {
  const host = request.headers.host ?? request.headers[":authority"] ?? "";
  const address = typeof host === "string" && /^[\w.:[\]-]{1,255}$/.test(host) ? host : "HOST:PORT";
  return `
It speaks gRPC (HTTP/2), gRPC-Web and Connect (JSON or binary; HTTP/1.1 and HTTP/2). Its methods, and one call:

  grpcurl -plaintext ${address} list
  curl -H 'content-type: application/json' -d '{}' http://${address}/grpc.health.v1.Health/Check

How to call it from a program: README.md and docs/ of Drover.
`;
}

function answerGrpc(response: NodeResponse, contentType: string, error: DroverError): void {
  const type = contentType.startsWith("application/grpc-web") ? contentType : "application/grpc";
  const fields = { "content-type": type, ...toGrpcTrailers(error) };
  if (!("stream" in response)) response.writeHead(200, fields).end();
  else if (!response.stream.destroyed) response.stream.respond({ ":status": 200, ...fields }, { endStream: true });
}
