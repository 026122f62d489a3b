/**
 * Errors on the wire: a DroverError as ConnectError, as gRPC trailers, and back. Owns the limits that keep C-core callers alive
 * (they drop a call whose trailers exceed 8 KiB); decides nothing about endings.
 */
import { Buffer } from "node:buffer";
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "@drover/proto/google/rpc/error_details_pb";
import { StatusSchema } from "@drover/proto/google/rpc/status_pb";
import { DroverError } from "./drover-error.ts";
import { kindOfReason, reasonOf } from "./endings.ts";
import { decodeGrpcMessage, encodeGrpcMessage, limitMessage } from "./grpc-message.ts";
import type { Logger } from "./log.ts";
import { META, type MetadataSource, readMetadata } from "./metadata.ts";

/** ErrorInfo.domain of every error that Drover makes. */
export const ERROR_DOMAIN = "drover";

/** `grpc-status-details-bin` as base64 text, message included. */
const DETAILS_LIMIT = 2048;
const FACT_VALUE_LIMIT = 200;
const FACTS_LIMIT = 16;

export interface ErrorContext {
  /** The id of the call, named in errors that are our own bugs. */
  readonly callId?: string;
  /** Where unexpected errors are written with their cause. */
  readonly log?: Logger;
}

/** The error that a handler throws at connect: code, message (cut at 1 KiB), ErrorInfo, and RetryInfo where a wait helps. */
export function toConnectError(error: unknown, context: ErrorContext = {}): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DroverError) return fromDroverError(error);
  // Ours or a library's: the caller learns which call to ask about, the log learns the rest.
  context.log?.error({ call: context.callId, err: error }, "a call ended by an error that nobody expected");
  const call = context.callId === undefined ? "" : ` Call ${context.callId}.`;
  return fromDroverError(
    new DroverError("internal", `Drover failed on this call; its log says why.${call}`, { cause: error }),
  );
}

/** All that a true Trailers-Only answer carries besides `:status` and `content-type`. */
export function toGrpcTrailers(error: DroverError | ConnectError): OutgoingHttpHeaders {
  const connect = toConnectError(error);
  const trailers: OutgoingHttpHeaders = { [META.grpcStatus]: String(connect.code) };
  const message = limitMessage(connect.rawMessage);
  if (message !== "") trailers[META.grpcMessage] = encodeGrpcMessage(message);
  const details = encodeDetails(connect.code, message, wireDetails(connect));
  if (details !== undefined) trailers[META.grpcStatusDetails] = details;
  const pushback = connect.metadata.get(META.retryPushbackMs);
  if (pushback !== null) trailers[META.retryPushbackMs] = pushback;
  return trailers;
}

/**
 * What an agent meant by its status: the kind that its ErrorInfo names. `message` is the decoded grpc-message.
 * Undefined when the answer carries no reason of ours, or one whose status was changed on the way.
 */
export function droverErrorFromGrpc(code: Code, message: string, trailers: MetadataSource): DroverError | undefined {
  const encoded = readMetadata(trailers, META.grpcStatusDetails);
  const details = encoded === undefined ? [] : decodeDetails(encoded);
  const pushback = Number(readMetadata(trailers, META.retryPushbackMs) ?? Number.NaN);
  return fromDetails(code, message, {
    info: details.map((any) => unpack(any, ErrorInfoSchema)).find(isOurs),
    retry: details.map((any) => unpack(any, RetryInfoSchema)).find((info) => info !== undefined),
    pushbackMs: pushback >= 0 ? pushback : undefined,
  });
}

/** The same for what a connect client throws. */
export function droverErrorFromConnect(error: ConnectError): DroverError | undefined {
  const info = error.findDetails(ErrorInfoSchema).find(isOurs);
  const retry = error.findDetails(RetryInfoSchema)[0];
  return fromDetails(error.code, error.rawMessage, { info, retry, pushbackMs: undefined });
}

/** The status of a finished gRPC call from its trailers; undefined when there is none, Unknown when it is not a number of gRPC's. */
export function readGrpcStatus(trailers: IncomingHttpHeaders): { code: Code | 0; message: string } | undefined {
  const raw = readMetadata(trailers, META.grpcStatus);
  if (raw === undefined) return undefined;
  const number = /^\d{1,2}$/.test(raw) ? Number(raw) : Code.Unknown;
  const code = number <= Code.Unauthenticated ? number : Code.Unknown;
  return { code, message: decodeGrpcMessage(readMetadata(trailers, META.grpcMessage) ?? "") };
}

function fromDroverError(error: DroverError): ConnectError {
  const message = limitMessage(error.message);
  const headers = new Headers();
  const details: ConnectError["details"] = [];
  if (error.retryAfterMs !== undefined) {
    const retryAfterMs = Math.max(0, Math.ceil(error.retryAfterMs));
    headers.set(META.retryPushbackMs, String(retryAfterMs));
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } });
  }
  const reason = reasonOf(error.kind);
  const metadata = fittingFacts(error, message);
  details.push({ desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN, metadata } });
  const connect = new ConnectError(message, error.ending.code, headers, undefined, error.cause);
  connect.details.push(...details);
  return connect;
}

/** Facts that still fit into the details beside the message, in their order. */
function fittingFacts(error: DroverError, message: string): Record<string, string> {
  // 160 bytes for the frame: two type URLs, reason, domain, retry delay. A fact costs its text and up to 8 bytes of tags.
  let room = (DETAILS_LIMIT * 3) / 4 - Buffer.byteLength(message) - 160;
  const facts: Record<string, string> = {};
  for (const [key, value] of Object.entries(error.facts).slice(0, FACTS_LIMIT)) {
    const text = value.toWellFormed().slice(0, FACT_VALUE_LIMIT).toWellFormed();
    room -= Buffer.byteLength(key) + Buffer.byteLength(text) + 8;
    if (room < 0) break;
    facts[key] = text;
  }
  return facts;
}

function isOurs(info: ErrorInfo | undefined): boolean {
  return info?.domain === ERROR_DOMAIN && kindOfReason(info.reason) !== undefined;
}

interface ReadDetails {
  readonly info: ErrorInfo | undefined;
  readonly retry: RetryInfo | undefined;
  readonly pushbackMs: number | undefined;
}

function fromDetails(code: Code, message: string, { info, retry, pushbackMs }: ReadDetails): DroverError | undefined {
  const kind = info === undefined ? undefined : kindOfReason(info.reason);
  if (info === undefined || kind === undefined) return undefined;
  const retryAfterMs = retry?.retryDelay === undefined ? pushbackMs : durationMs(retry.retryDelay);
  const error = new DroverError(kind, message, {
    facts: info.metadata,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  return error.ending.code === code ? error : undefined;
}

function wireDetails(error: ConnectError): Any[] {
  return error.details.map((detail) =>
    "desc" in detail
      ? anyPack(detail.desc, create(detail.desc, detail.value))
      : ({
          $typeName: "google.protobuf.Any",
          typeUrl: `type.googleapis.com/${detail.type}`,
          value: detail.value,
        } satisfies Any),
  );
}

/** google.rpc.Status as unpadded base64; undefined when there are no details or they cannot be made to fit. */
function encodeDetails(code: Code, message: string, details: Any[]): string | undefined {
  for (let count = details.length; count > 0; count--) {
    const status = create(StatusSchema, { code, message, details: details.slice(-count) });
    const encoded = Buffer.from(toBinary(StatusSchema, status)).toString("base64").replace(/=+$/, "");
    if (encoded.length <= DETAILS_LIMIT) return encoded;
  }
  return undefined;
}

/** anyUnpack throws on a value that is not what its type says. */
function unpack<Desc extends DescMessage>(any: Any, schema: Desc): MessageShape<Desc> | undefined {
  try {
    return anyUnpack(any, schema);
  } catch {
    return undefined;
  }
}

function decodeDetails(encoded: string): Any[] {
  try {
    return fromBinary(StatusSchema, Buffer.from(encoded, "base64")).details;
  } catch {
    return [];
  }
}
