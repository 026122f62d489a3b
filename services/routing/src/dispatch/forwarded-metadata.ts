/**
 * Which of a caller's headers agents get, and which of an agent's trailers callers get: metadata as it came, binary keys and
 * duplicates included, without what belongs to one hop, to the protocol, or to Drover.
 */
import { DroverError, META, type Metadata } from "@drover/platform";

/** RFC 9113 8.2.2 and gRPC's own; the transport sets anew what a hop needs. */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "content-type",
  "content-length",
  "accept-encoding",
  "user-agent",
  "grpc-encoding",
  "grpc-accept-encoding",
  META.grpcTimeout,
  META.connectTimeoutMs,
  // Meant for the router alone.
  META.authorization,
  "cookie",
  // Believed by agents: a caller must not be able to set them.
  META.router,
  META.call,
  META.attempt,
  META.send,
  META.ticket,
  META.previousAttempts,
]);

/**
 * HTTP/2 servers of Node reset a stream with more than 128 fields or 64 KiB of them. With what the router adds it must still fit,
 * or the caller would read of a node that failed.
 */
const FIELDS_MAX = 100;
const BYTES_MAX = 48 * 1024;

/** A Trailers-Only answer is also a response, with a response's headers. */
const OF_TRAILERS_ONLY: ReadonlySet<string> = new Set(["date", "server", "set-cookie", "trailer"]);
/** C-core fails a call whose trailers together exceed 8 KiB; message, details and Drover's account take most of it. */
const TRAILER_BYTES_MAX = 512;

/** Throws a DroverError when there is too much of it. */
export function forwardedMetadata(headers: Metadata): Metadata {
  const forwarded: Record<string, string | string[] | undefined> = {};
  let fields = 0;
  let bytes = 0;
  for (const [key, value] of Object.entries(headers)) {
    if (value === undefined || isOfOneHop(key)) continue;
    forwarded[key] = value;
    fields += [value].flat().length;
    bytes += bytesOf(key, value);
  }
  if (fields > FIELDS_MAX || bytes > BYTES_MAX) throw tooMuch(fields, bytes);
  return forwarded;
}

/**
 * What an agent's trailers hold beside the status and Drover's own account, both of which the router writes itself. What goes
 * beyond the limit is left out: an end must reach the caller.
 */
export function forwardedTrailers(trailers: Metadata): Metadata {
  const forwarded: Record<string, string | string[] | undefined> = {};
  let bytes = 0;
  for (const [key, value] of Object.entries(trailers)) {
    if (value === undefined || isWrittenAnew(key)) continue;
    bytes += bytesOf(key, value);
    if (bytes <= TRAILER_BYTES_MAX) forwarded[key] = value;
  }
  return forwarded;
}

/** A repeated key goes out as often as it came: Node hands `set-cookie` over as a list, and everything else joined. */
function bytesOf(key: string, value: string | string[]): number {
  return [value].flat().reduce((sum, each) => sum + key.length + each.length, 0);
}

function isWrittenAnew(key: string): boolean {
  return key.startsWith("grpc-") || key.startsWith("drover-") || OF_TRAILERS_ONLY.has(key) || isOfOneHop(key);
}

function isOfOneHop(key: string): boolean {
  return key.startsWith(":") || OF_ONE_HOP.has(key);
}

function tooMuch(fields: number, bytes: number): DroverError {
  const limits = `at most ${FIELDS_MAX} fields and ${BYTES_MAX / 1024} KiB`;
  return new DroverError(
    "malformed_request",
    `The call has too much metadata (${fields} fields, ${bytes} bytes): ${limits}.`,
  );
}
