/**
 * Which of a caller's headers agents get: its metadata as it came, binary keys and duplicates included, without what belongs
 * to one hop, to the protocol, or to the secret between router and agent.
 */
import type { IncomingHttpHeaders } from "node:http2";
import { META, type Metadata } from "@drover/platform";

/** RFC 9113 8.2.2 and gRPC's own; the transport sets anew what a hop needs. */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  "connection",
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

export function forwardedMetadata(headers: IncomingHttpHeaders): Metadata {
  const forwarded: Record<string, string | string[] | undefined> = {};
  for (const [key, value] of Object.entries(headers)) {
    if (!key.startsWith(":") && !OF_ONE_HOP.has(key)) forwarded[key] = value;
  }
  return forwarded;
}
