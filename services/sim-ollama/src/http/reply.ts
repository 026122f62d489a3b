/**
 * Writes one answer: a JSON body, a text, or lines of NDJSON of which nothing goes out before the first. Scripted
 * faults of bytes (split, joined and huge lines, resets) happen here. Knows no route.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "@drover/platform";
import { sleep } from "@drover/platform";
import type { FaultPlan } from "../faults.ts";
import type { OpenRecord } from "../request-log.ts";

export interface Reply {
  /** Aborts when the caller's socket closes, and when the answer is complete. */
  readonly signal: AbortSignal;
  /** True once a status line has gone out. */
  hasStarted(): boolean;
  json(status: number, body: object): void;
  text(status: number, body: string, headers?: Readonly<Record<string, string>>): void;
  empty(status: number): void;
  /** One line of a stream; resolves when there is room for the next. */
  line(value: object): Promise<void>;
  /** Ends the stream; without any line before it, an empty 200. */
  endLines(): Promise<void>;
  /** Closes the socket with RST instead of an end. */
  reset(): void;
}

export interface ReplyContext {
  readonly response: ServerResponse;
  readonly record: OpenRecord;
  readonly clock: Clock;
}

/** `plan` is asked only when a line is written, because it is known only once the body has been read. */
export function createReply({ response, record, clock }: ReplyContext, plan: () => FaultPlan | undefined): Reply {
  const closed = new AbortController();
  response.once("finish", () => record.end("completed", response.statusCode));
  response.once("close", () => {
    record.end("client-closed", response.headersSent ? response.statusCode : undefined);
    closed.abort();
  });
  const whole = (status: number, type: string | undefined, body: string): void => {
    if (response.destroyed || response.headersSent) return;
    response.writeHead(status, {
      ...(type === undefined ? {} : { "Content-Type": type }),
      "Content-Length": Buffer.byteLength(body),
    });
    response.end(body);
  };
  const lines = createLineWriter(response, clock, closed.signal);
  return {
    signal: closed.signal,
    hasStarted: () => response.headersSent,
    json: (status, body) => {
      record.chunk();
      whole(status, "application/json; charset=utf-8", goJson(body));
    },
    text: (status, body, headers = {}) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      whole(status, "text/plain", body);
    },
    empty: (status) => whole(status, undefined, ""),
    line: (value) => {
      record.chunk();
      return lines.write(value, plan());
    },
    endLines: () => lines.end(),
    reset: () => {
      record.end("fault", response.headersSent ? response.statusCode : undefined);
      response.socket?.resetAndDestroy();
    },
  };
}

interface LineWriter {
  write(value: object, plan: FaultPlan | undefined): Promise<void>;
  end(): Promise<void>;
}

function createLineWriter(response: ServerResponse, clock: Clock, closed: AbortSignal): LineWriter {
  let isFirst = true;
  let held: Buffer[] = [];
  const start = (): void => {
    if (!response.headersSent && !response.destroyed)
      response.writeHead(200, { "Content-Type": "application/x-ndjson" });
  };
  const send = async (bytes: Buffer): Promise<void> => {
    if (closed.aborted || bytes.length === 0) return;
    start();
    if (!response.write(bytes)) await drained(response, closed);
  };
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(held);
    held = [];
    await send(bytes);
  };
  return {
    write: async (value, plan) => {
      const huge = isFirst ? plan?.get("huge-line") : undefined;
      isFirst = false;
      const padded = huge === undefined ? value : { ...value, sim_padding: "x".repeat(huge.bytes) };
      const bytes = Buffer.from(`${goJson(padded)}\n`);
      const split = plan?.get("split-lines");
      if (split !== undefined) {
        const at = splitPoint(bytes);
        await send(bytes.subarray(0, at));
        await sleep(clock, split.gapMs, closed);
        return send(bytes.subarray(at));
      }
      held.push(bytes);
      if (held.length >= (plan?.get("joined-lines")?.lines ?? 1)) await flush();
    },
    end: async () => {
      await flush();
      if (closed.aborted) return;
      start();
      response.end();
    },
  };
}

/** As Go writes JSON: characters that HTML could mistake are escaped. */
function goJson(value: object): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Inside the first character outside ASCII, else in the middle. */
function splitPoint(bytes: Buffer): number {
  const wide = bytes.findIndex((byte) => byte >= 0x80);
  return wide < 0 ? Math.floor(bytes.length / 2) : wide + 1;
}

function drained(response: ServerResponse, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go);
      closed.removeEventListener("abort", go);
      resolve();
    };
    response.once("drain", go);
    closed.addEventListener("abort", go, { once: true });
  });
}
