/**
 * The bounds of a listener, each with its reason. Tests inject smaller ones; programs use these. What one request may be, and
 * how slowly it may come, stands in `request-message.ts`, because the relay shares it.
 *
 * Against the rest Node's own HTTP/2 (nghttp2 1.70) holds, and `e2e/real/hostile-peers.test.ts` proves it on this listener:
 * - more than 8 CONTINUATION frames for one header block end the session (CVE-2024-28182; `max_continuations`);
 * - more than 1,000 empty DATA frames that do not end a stream do (CVE-2019-9518; `maxSessionInvalidFrames`);
 * - more than 1,000 answers to PING and SETTINGS that the peer does not read do (CVE-2019-9512, 9515; `max_outbound_ack`);
 * - a window above 2^31 - 1, a stream that depends on itself, frames on stream 0 and the like do (RFC 9113).
 */
import { REQUEST_BYTES_MAX } from "../request-message.ts";

export interface ListenerLimits {
  /** Connections at once; further ones are closed unread. */
  readonly maxConnections: number;
  /** Of them from one IPv4 address, or one /64 of IPv6. Callers behind one proxy share its few. */
  readonly maxConnectionsPerAddress: number;
  /** A connection that has not said which protocol it speaks by then is closed. */
  readonly sniffTimeoutMs: number;
  /** HTTP/2 streams of one session at once. Node's default is 2^32 - 1. */
  readonly maxConcurrentStreams: number;
  /** MB. Node's default of 10 ends the whole session with ENHANCE_YOUR_CALM at about 600 stalled streams. */
  readonly maxSessionMemoryMb: number;
  /**
   * Resets that one session may send at once, and per second after that (rapid reset, CVE-2023-44487): what 4,000 calls a second
   * of which a fifth is cancelled need. Node's 1000 and 33 end all calls of a busy canceller.
   */
  readonly streamResetBurst: number;
  readonly streamResetRate: number;
  /** Header fields of one request; Node's own default, stated because more ends the session. */
  readonly maxHeaderPairs: number;
  /** Bytes of one request's header, told to callers and enforced; more than Node's own client can send. */
  readonly maxHeaderBytes: number;
  /** One message, also after inflating: images of a chat fit. */
  readonly readMaxBytes: number;
  /** HTTP/1.1: time to receive the head of a request. */
  readonly headersTimeoutMs: number;
  /** HTTP/1.1: time to receive all of a request, also one that was refused already; Node's own default. */
  readonly requestTimeoutMs: number;
  /** HTTP/1.1: an idle connection is kept this long. */
  readonly keepAliveTimeoutMs: number;
  /** HTTP/2: a session is asked for a sign of life this often and closed when one question later it has not answered. */
  readonly pingIntervalMs: number;
  /** A caller that leaves its answer unread for this long, and 1 s more for every 8 KB, loses the call. */
  readonly unreadAnswerMs: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 2_500,
  sniffTimeoutMs: 10_000,
  maxConcurrentStreams: 1000,
  maxSessionMemoryMb: 1000,
  streamResetBurst: 2_000,
  streamResetRate: 1000,
  maxHeaderPairs: 128,
  maxHeaderBytes: 64 * 1024,
  readMaxBytes: REQUEST_BYTES_MAX,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 300_000,
  keepAliveTimeoutMs: 30_000,
  pingIntervalMs: 30_000,
  unreadAnswerMs: 60_000,
};
