/**
 * The metadata of a call: the names of all keys that Drover reads or writes, and typed readers that refuse a wrong value with
 * the key's name. It does not know what the values lead to.
 */
import { DroverError } from "./drover-error.ts";
import { isLabels, type Labels, parseLabels } from "./labels.ts";

/** Request, response and hop keys; which is which stands in the reference of the protocol. */
export const META = {
  // From the caller.
  node: "drover-node",
  labels: "drover-labels",
  session: "drover-session",
  class: "drover-class",
  tenant: "drover-tenant",
  maxWaitMs: "drover-max-wait-ms",
  progress: "drover-progress",
  resume: "drover-resume",
  /** As a request key `1` asks for the decision; as a trailer it holds it. */
  why: "drover-why",
  // To the caller.
  call: "drover-call",
  attempts: "drover-attempts",
  queueMs: "drover-queue-ms",
  loadMs: "drover-load-ms",
  ttftMs: "drover-ttft-ms",
  resumed: "drover-resumed",
  // Between router and agent.
  router: "drover-router",
  attempt: "drover-attempt",
  /** Number of the send on this router: the agent acknowledges it in its status. */
  send: "drover-send",
  ticket: "drover-ticket",
  /** Trailers of an agent, with which routers count what their nodes did. */
  promptTokens: "drover-prompt-tokens",
  generatedTokens: "drover-generated-tokens",
  previousAttempts: "grpc-previous-rpc-attempts",
  // Of the protocol.
  grpcTimeout: "grpc-timeout",
  connectTimeoutMs: "connect-timeout-ms",
  grpcStatus: "grpc-status",
  grpcMessage: "grpc-message",
  grpcStatusDetails: "grpc-status-details-bin",
  retryPushbackMs: "grpc-retry-pushback-ms",
  traceparent: "traceparent",
  tracestate: "tracestate",
  baggage: "baggage",
  authorization: "authorization",
} as const;

/** Metadata as node:http(2) holds headers: lower-case keys, repeated ones as a list. */
export type Metadata = Readonly<Record<string, string | string[] | undefined>>;

/** Headers of connect-node or of node:http(2). */
export type MetadataSource = Headers | Metadata;

/** A header holds at most this much of our own text; longer is refused, not cut. */
const LONGEST_TEXT = 1024;

/** The raw value without surrounding space; undefined when absent or empty. Repeated headers arrive joined by commas. */
export function readMetadata(source: MetadataSource, key: string): string | undefined {
  const value = source instanceof Headers ? source.get(key) : source[key];
  const text = (Array.isArray(value) ? value.join(",") : (value ?? "")).trim();
  return text === "" ? undefined : text;
}

/** A short text: `drover-session`, `drover-node`, … */
export function readText(source: MetadataSource, key: string): string | undefined {
  const text = readMetadata(source, key);
  if (text !== undefined && text.length > LONGEST_TEXT) throw malformed(key, `at most ${LONGEST_TEXT} characters`);
  return text;
}

/** Whole milliseconds from 0 to 99,999,999. */
export function readDurationMs(source: MetadataSource, key: string): number | undefined {
  const text = readMetadata(source, key);
  if (text === undefined) return undefined;
  if (!/^\d{1,8}$/.test(text)) throw malformed(key, "whole milliseconds, at most 99999999");
  return Number(text);
}

/** A number that only rises, such as the number of a send: 0 to 2^53 - 1. */
export function readSequence(source: MetadataSource, key: string): number | undefined {
  const text = readMetadata(source, key);
  if (text === undefined) return undefined;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw malformed(key, "a whole number");
  return number;
}

export function readOnOff(source: MetadataSource, key: string): boolean | undefined {
  const text = readMetadata(source, key)?.toLowerCase();
  if (text === undefined) return undefined;
  if (text === "on") return true;
  if (text === "off") return false;
  throw malformed(key, "`on` or `off`");
}

/** True only for `1`. */
export function readFlag(source: MetadataSource, key: string): boolean {
  const text = readMetadata(source, key);
  if (text === undefined || text === "0") return false;
  if (text === "1") return true;
  throw malformed(key, "`1` or nothing");
}

export function readLabels(source: MetadataSource, key: string): Labels | undefined {
  const text = readMetadata(source, key);
  if (text === undefined) return undefined;
  const labels = parseLabels(text);
  if (!isLabels(labels)) throw malformed(key, `labels like gpu=a100,zone=eu; ${labels.problem}`);
  return labels;
}

function malformed(key: string, expected: string): DroverError {
  return new DroverError("malformed_request", `The metadata key ${key} must be ${expected}.`, { facts: { key } });
}
