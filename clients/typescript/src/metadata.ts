/**
 * The metadata keys that this client writes and reads, and readers of what routers answer. A test holds the names equal to
 * Drover's own.
 */

export const META = {
  node: "drover-node",
  labels: "drover-labels",
  session: "drover-session",
  class: "drover-class",
  tenant: "drover-tenant",
  maxWaitMs: "drover-max-wait-ms",
  why: "drover-why",
  call: "drover-call",
  attempts: "drover-attempts",
  queueMs: "drover-queue-ms",
  loadMs: "drover-load-ms",
  ttftMs: "drover-ttft-ms",
  retryPushbackMs: "grpc-retry-pushback-ms",
} as const;

/** Undefined when absent or empty. Routers percent-encode what may hold any letter, as gRPC does for grpc-message. */
export function readText(source: Headers, key: string): string | undefined {
  const raw = source.get(key);
  if (raw === null || raw === "") return undefined;
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

/** Undefined when absent or not a number that makes sense: 0 or more. */
export function readNumber(source: Headers, key: string): number | undefined {
  const raw = source.get(key);
  if (raw === null || raw.trim() === "") return undefined;
  const number = Number(raw);
  return Number.isFinite(number) && number >= 0 ? number : undefined;
}
