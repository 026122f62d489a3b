/**
 * Resets the streams of callers that do not read. What is written and cannot be sent is memory of ours for as long as such a
 * caller keeps its connection (CVE-2019-9511 and 9517). It looks at how much lies there, never at what it is.
 */
import http2, { type ServerHttp2Stream } from "node:http2";
import type { Clock, Timer } from "../clock.ts";

/** The part of a stream that tells whether its caller reads. */
export type WatchedStream = Pick<ServerHttp2Stream, "bufferSize" | "close" | "on" | "once">;

export interface UnreadAnswersOptions {
  readonly clock: Clock;
  /** A stream whose unsent bytes have not moved for this long, and longer the more they are, is reset. */
  readonly patienceMs: number;
}

/** Node tells what is unsent only by whole writes, and one may be an embedding of megabytes on a slow line. */
const SLOWEST_READER_BYTES_PER_MS = 8;
const LOOKS_PER_PATIENCE = 4;

interface Seen {
  unsentBytes: number;
  sinceMs: number;
}

export class UnreadAnswers {
  readonly #streams = new Map<WatchedStream, Seen>();
  readonly #options: UnreadAnswersOptions;
  #timer: Timer | undefined;

  constructor(options: UnreadAnswersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Watches the stream until it is closed. */
  watch(stream: WatchedStream): void {
    const seen: Seen = { unsentBytes: 0, sinceMs: 0 };
    this.#streams.set(stream, seen);
    // A writer that waits for its caller goes on at this event, and may leave as many bytes as were there before.
    stream.on("drain", () => {
      seen.unsentBytes = 0;
    });
    stream.once("close", () => {
      this.#streams.delete(stream);
      if (this.#streams.size === 0) this.#stop();
    });
    this.#timer ??= this.#next();
  }

  #next(): Timer {
    const { clock, patienceMs } = this.#options;
    return clock.after(patienceMs / LOOKS_PER_PATIENCE, () => {
      for (const [stream, seen] of this.#streams) this.#look(stream, seen);
      this.#timer = this.#streams.size === 0 ? undefined : this.#next();
    });
  }

  #look(stream: WatchedStream, seen: Seen): void {
    const nowMs = this.#options.clock.nowMs();
    const unsentBytes = stream.bufferSize;
    if (unsentBytes !== seen.unsentBytes) {
      seen.unsentBytes = unsentBytes;
      seen.sinceMs = nowMs;
    }
    const patienceMs = this.#options.patienceMs + unsentBytes / SLOWEST_READER_BYTES_PER_MS;
    if (unsentBytes === 0 || nowMs - seen.sinceMs < patienceMs) return;
    // gRPC reads this reset as RESOURCE_EXHAUSTED: trailers would wait behind what is not read.
    stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
