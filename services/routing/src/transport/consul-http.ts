/**
 * HTTP to Consul, for reading: one connection of its own, a hard deadline for the whole answer, bounded bodies, gzip. It knows
 * nothing of services and indexes. undici's own timeouts are off: a blocking query is silent until something changes.
 */

import { createGunzip } from "node:zlib";
import { type Clock, type ConsulAccess, sleep } from "@drover/platform";
import { Client, type Dispatcher } from "undici";
import type { ConsulAnswer, ConsulQuestion, ConsulReader } from "../discovery/consul/consul-reader.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** 10,000 instances are 14 MB, and 0.7 MB compressed; both bounds are far above. */
const RAW_BYTES_MAX = 64 * 1024 * 1024;
const BODY_BYTES_MAX = 128 * 1024 * 1024;
/** Worked on in one go; a millisecond or so. */
const PIECE_BYTES = 64 * 1024;

export interface ConsulHttp extends ConsulReader {
  /** Closes the connection; a question that is still open fails. */
  close(): Promise<void>;
}

export interface ConsulHttpLimits {
  readonly rawBytesMax: number;
  readonly bodyBytesMax: number;
}

export function openConsulHttp(
  access: ConsulAccess,
  clock: Clock,
  limits: ConsulHttpLimits = { rawBytesMax: RAW_BYTES_MAX, bodyBytesMax: BODY_BYTES_MAX },
): ConsulHttp {
  const url = new URL(access.url);
  const prefix = url.pathname.replace(/\/+$/, "");
  // A connection of its own: a blocking query must not stand in anybody's way, and one that is given up is closed.
  const client = new Client(url.origin, {
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  return {
    displayUrl: access.url,
    get: async (question) => {
      const token = access.token();
      const headers = { "accept-encoding": "gzip", ...(token === undefined ? {} : { "x-consul-token": token }) };
      const deadline = new AbortController();
      const timer = clock.after(question.deadlineMs, () => deadline.abort());
      try {
        const signal = AbortSignal.any([question.signal, deadline.signal]);
        const path = `${prefix}${question.path}`;
        const response = await client.request({ method: "GET", path, headers, signal });
        return answerOf(response, await readRaw(response.body, limits.rawBytesMax), clock, limits);
      } catch (error) {
        return { kind: "failed", reason: deadline.signal.aborted ? hung(question) : describe(error) };
      } finally {
        timer.cancel();
      }
    },
    close: () => client.destroy(),
  };
}

function answerOf(
  { statusCode, headers }: Dispatcher.ResponseData,
  raw: Uint8Array,
  clock: Clock,
  limits: ConsulHttpLimits,
): ConsulAnswer {
  const isGzip = headers["content-encoding"] === "gzip";
  return {
    kind: "answered",
    status: statusCode,
    index: one(headers["x-consul-index"]),
    isFiltered: one(headers["x-consul-results-filtered-by-acls"]) === "true",
    raw,
    pieces: () => (isGzip ? inflated(raw, limits.bodyBytesMax) : sliced(raw, clock)),
  };
}

/** Throws when the body breaks off or is too long; leaving the loop closes the socket. */
async function readRaw(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new TooLongError(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** zlib works on threads of its own, so the event loop runs between the pieces. */
async function* inflated(raw: Uint8Array, bytesMax: number): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  gunzip.end(raw);
  let bytes = 0;
  try {
    for await (const piece of gunzip as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new TooLongError(bytesMax);
      yield piece;
    }
  } catch (error) {
    throw error instanceof TooLongError ? error : new Error("its compressed answer is broken", { cause: error });
  }
}

async function* sliced(raw: Uint8Array, clock: Clock): AsyncIterable<Uint8Array> {
  for (let at = 0; at < raw.length; at += PIECE_BYTES) {
    if (at > 0) await sleep(clock, 0);
    yield raw.subarray(at, at + PIECE_BYTES);
  }
}

class TooLongError extends Error {
  constructor(bytesMax: number) {
    super(`its answer is longer than ${bytesMax} bytes`);
  }
}

function hung({ deadlineMs }: ConsulQuestion): string {
  return `it accepted the question, and has not answered within ${Math.round(deadlineMs / 1_000)} s`;
}

function describe(error: unknown): string {
  if (error instanceof TooLongError) return error.message;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens there: is `consul agent` running?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its host name does not resolve";
    case "UND_ERR_CONNECT_TIMEOUT":
      return `it does not accept connections within ${CONNECT_TIMEOUT_MS / 1_000} s`;
    case "UND_ERR_SOCKET":
    case "ECONNRESET":
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
      return "it closed the connection before the answer was whole";
    default:
      return `the question failed (${code === "" ? "unknown cause" : code})`;
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
