/**
 * Which of a caller's headers agents get: its metadata as it came, binary keys and duplicates included, without what belongs
 * to one hop, to the protocol, or to the secret between router and agent.
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

/** Throws a DroverError when there is too much of it. */
export function forwardedMetadata(headers: Metadata): Metadata {
  const forwarded: Record<string, string | string[] | undefined> = {};
  let fields = 0;
  let bytes = 0;
  for (const [key, value] of Object.entries(headers)) {
    if (value === undefined || key.startsWith(":") || OF_ONE_HOP.has(key)) continue;
    forwarded[key] = value;
    fields++;
    bytes += key.length + value.length;
  }
  if (fields > FIELDS_MAX || bytes > BYTES_MAX) throw tooMuch(fields, bytes);
  return forwarded;
}

function tooMuch(fields: number, bytes: number): DroverError {
  const limits = `at most ${FIELDS_MAX} keys and ${BYTES_MAX / 1024} KiB`;
  return new DroverError(
    "malformed_request",
    `The call has too much metadata (${fields} keys, ${bytes} bytes): ${limits}.`,
  );
}
