/**
 * The bounds of a listener, each with its reason. Tests inject smaller ones; programs use these.
 */

import { REQUEST_BYTES_MAX } from "../request-message.ts";

export interface ListenerLimits {
  /** Connections at once; further ones are closed unread. */
  readonly maxConnections: number;
  /** A connection that has not said which protocol it speaks by then is closed. */
  readonly sniffTimeoutMs: number;
  /** HTTP/2 streams of one session at once. Node's default is 2^32 - 1. */
  readonly maxConcurrentStreams: number;
  /** MB. Node's default of 10 ends the whole session with ENHANCE_YOUR_CALM at about 600 stalled streams. */
  readonly maxSessionMemoryMb: number;
  /** Resets that one session may send at once, and per second after that; Node's 1000 and 33 end all calls of a busy canceller. */
  readonly streamResetBurst: number;
  readonly streamResetRate: number;
  /** Header fields of one request; Node's own default, stated because more ends the session. */
  readonly maxHeaderPairs: number;
  /** One message, also after inflating: images of a chat fit. */
  readonly readMaxBytes: number;
  /** HTTP/1.1: time to receive the head of a request. */
  readonly headersTimeoutMs: number;
  /** HTTP/1.1: an idle connection is kept this long. */
  readonly keepAliveTimeoutMs: number;
  /** HTTP/2: a session is asked for a sign of life this often and closed when one question later it has not answered. */
  readonly pingIntervalMs: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  maxConnections: 10_000,
  sniffTimeoutMs: 10_000,
  maxConcurrentStreams: 1000,
  maxSessionMemoryMb: 1000,
  streamResetBurst: 10_000,
  streamResetRate: 1000,
  maxHeaderPairs: 128,
  readMaxBytes: REQUEST_BYTES_MAX,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 30_000,
  pingIntervalMs: 30_000,
};
