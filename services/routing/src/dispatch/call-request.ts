/**
 * What dispatch is given: a call that was read whole and checked, and the caller's end of the line. It does not know by
 * which protocol the caller came.
 */
import type { DroverError, Metadata } from "@drover/platform";
import type { CallProfile } from "../balancing/call-profile.ts";

export interface CallRequest {
  /** Metadata drover-call: in every log line, span and trailer of this call. */
  readonly id: string;
  /** "/drover.inference.v1.InferenceService/Chat" */
  readonly path: string;
  /** A unary call commits as a whole: nothing goes out before its OK trailers. */
  readonly isUnary: boolean;
  readonly profile: CallProfile;
  /** Whether the caller is told of progress; the router is in any case. */
  readonly isProgressWanted: boolean;
  /** Whether the caller is told in a trailer how its nodes were chosen. */
  readonly isWhyWanted: boolean;
  /** The caller's metadata that agents get too. */
  readonly headers: Metadata;
  readonly body: RequestBody;
  /** Time that the caller still gives, in ms, 0 and up. Undefined: no deadline. */
  readonly timeoutMs: number | undefined;
  /** Longest time before an attempt begins, in ms. */
  readonly maxWaitMs: number;
}

/** One gRPC message with its prefix, not compressed, that counts against the process's budget until it is released. */
export interface RequestBody {
  readonly bytes: Uint8Array;
  /** Harmless when called again. */
  release(): void;
}

/** The caller's end: takes whole messages, then one end. */
export interface CallerStream {
  /** False: full, wait for Call.drained(). The bytes were taken all the same. */
  write(bytes: Uint8Array): boolean;
  /** Exactly once, unless the call was cancelled. Without a write before it, the answer is the status alone. */
  end(ending: CallEnding): void;
}

export interface CallEnding {
  /** Undefined: OK. */
  readonly error: DroverError | undefined;
  /** drover-* trailers and what the agent added of its own. */
  readonly trailers: Metadata;
}
