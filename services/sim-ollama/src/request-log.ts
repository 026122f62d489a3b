/**
 * Remembers the requests that came in and how each ended, so that tests can see what was sent and that sockets were
 * closed. Never written anywhere: the bodies hold prompts.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "@drover/platform";

/** Where a request is: read, waiting for a slot, waiting for the model, before or after its first token. */
export type RequestPhase = "received" | "loading" | "queued" | "prefill" | "decode";

export interface RequestEnd {
  /** `fault`: a scripted fault ended it; `client-closed`: the caller closed its socket first. */
  readonly how: "completed" | "client-closed" | "fault";
  readonly phase: RequestPhase;
  /** Since the request came in. */
  readonly afterMs: number;
  /** The HTTP status that was sent, if one was. */
  readonly status?: number;
}

export interface RequestRecord {
  readonly id: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly startedAtMs: number;
  /** Parsed JSON; a longer body than 64 KiB only as its first part, as text. */
  readonly body?: unknown;
  readonly phase: RequestPhase;
  /** Lines or bodies sent so far. */
  readonly chunks: number;
  readonly end?: RequestEnd;
}

export interface OpenRecord {
  body(text: string): void;
  phase(phase: RequestPhase): void;
  chunk(): void;
  /** Only the first end counts. */
  end(how: RequestEnd["how"], status: number | undefined): void;
}

export interface RequestLog {
  open(method: string, path: string, headers: IncomingHttpHeaders): OpenRecord;
  list(): readonly RequestRecord[];
  /** Every open request counts as ended by a fault. */
  failOpen(): void;
  clear(): void;
}

/** The oldest are forgotten first. */
const MOST_RECORDS = 1000;
const LONGEST_BODY = 64 * 1024;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export function createRequestLog(clock: Clock): RequestLog {
  const records: Mutable<RequestRecord>[] = [];
  let lastId = 0;
  return {
    open: (method, path, headers) => {
      lastId += 1;
      const startMs = clock.nowMs();
      const startedAtMs = clock.wallMs();
      const record: Mutable<RequestRecord> = {
        id: lastId,
        method,
        path,
        headers,
        startedAtMs,
        phase: "received",
        chunks: 0,
      };
      records.push(record);
      if (records.length > MOST_RECORDS) records.shift();
      return openRecord(record, () => clock.nowMs() - startMs);
    },
    list: () => records.map((record) => ({ ...record })),
    failOpen: () => {
      for (const record of records) {
        record.end ??= { how: "fault", phase: record.phase, afterMs: clock.wallMs() - record.startedAtMs };
      }
    },
    clear: () => {
      records.length = 0;
    },
  };
}

function openRecord(record: Mutable<RequestRecord>, ageMs: () => number): OpenRecord {
  return {
    body: (text) => {
      record.body = text.length > LONGEST_BODY ? text.slice(0, LONGEST_BODY) : jsonOrText(text);
    },
    phase: (phase) => {
      record.phase = phase;
    },
    chunk: () => {
      record.chunks += 1;
    },
    end: (how, status) => {
      if (record.end !== undefined) return;
      record.end = { how, phase: record.phase, afterMs: ageMs(), ...(status === undefined ? {} : { status }) };
    },
  };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
