/**
 * Whether a request for a method comes in a form that is served: HTTP method, HTTP version, content type. Connect answers the wrong
 * ones with a bare HTTP status; here it is said what would be served. It looks at the head only and writes nothing.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { DroverError } from "../drover-error.ts";

/** Of a request, what tells its form. */
export interface RequestForm {
  readonly method: string;
  readonly httpVersion: string;
  readonly contentType: string;
}

export interface FormRefusal {
  readonly httpStatus: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: DroverError;
}

/** Undefined for a form that connect serves. */
export function refuseForm(handler: UniversalHandler, form: RequestForm): FormRefusal | undefined {
  const { method, supportedContentType } = handler;
  if (method.methodKind === "bidi_streaming" && form.httpVersion.startsWith("1.")) return onlyHttp2(method);
  if (form.method !== "POST") return onlyPost(method, form.method);
  // Connect's table has the base64 form of gRPC-Web, and its handler refuses it.
  const isServed = supportedContentType(form.contentType) && !/^application\/grpc-web-text/i.test(form.contentType);
  return isServed ? undefined : otherType(method, form.contentType);
}

function onlyHttp2({ name }: DescMethod): FormRefusal {
  const words = `${name} streams in both directions, which HTTP/1.1 cannot carry: call it over HTTP/2.`;
  return { httpStatus: 505, headers: {}, error: new DroverError("not_implemented", words) };
}

function onlyPost({ name }: DescMethod, used: string): FormRefusal {
  const words = `${name} is a method to be called with POST, not ${used.slice(0, 20)}.`;
  return { httpStatus: 405, headers: { allow: "POST" }, error: new DroverError("malformed_request", words) };
}

function otherType({ name, methodKind }: DescMethod, contentType: string): FormRefusal {
  const isUnary = methodKind === "unary";
  const prefix = isUnary ? "application/" : "application/connect+";
  const types = [`${prefix}json`, `${prefix}proto`, "application/grpc-web+proto", "application/grpc+proto"];
  const given = contentType === "" ? "a request without one" : `"${contentType.slice(0, 100)}"`;
  const kind = isUnary ? name : `${name}, which streams,`;
  const envelope = isUnary ? "" : "; each message has 5 bytes in front, its flags (0) and its length (big endian)";
  const words = `${kind} takes the content types ${prefix}json or ${prefix}proto (Connect${envelope}), application/grpc-web and application/grpc; not ${given}.`;
  return {
    httpStatus: 415,
    // What POST would take (https://www.w3.org/TR/ldp/#header-accept-post).
    headers: { "accept-post": types.join(", ") },
    error: new DroverError("malformed_request", words),
  };
}
