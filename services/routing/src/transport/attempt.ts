/**
 * The contract between dispatch and the wire: one try of a call on one node. Dispatch sees whole messages and one end;
 * sockets, HTTP/2 and their error codes stay on the other side.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { DroverError } from "@drover/platform";

export interface AttemptRequest {
  readonly endpoint: string;
  /** "/drover.inference.v1.InferenceService/Chat" */
  readonly path: string;
  /** Metadata to send, lower case; the transport adds what the protocol needs. */
  readonly headers: OutgoingHttpHeaders;
  /** One gRPC message with its prefix, not compressed. */
  readonly body: Uint8Array;
}

export type AttemptEnd =
  /** The node ended it: `trailers` hold grpc-status, whatever it is. */
  | { readonly kind: "answered"; readonly trailers: IncomingHttpHeaders }
  /** The way there or back broke. */
  | { readonly kind: "broken"; readonly error: DroverError };

/** What an attempt has sent so far, up to the end of the bytes at hand. */
export interface FramesSeen {
  /** All messages, of whatever kind: of a unary call the one answer, whose first byte says nothing of its kind. */
  readonly messages: number;
  /** Messages of a token stream that are not progress: chunks and `done`. */
  readonly outputs: number;
  /** Whether `done`, a stream's last message, is among them. */
  readonly hasDone: boolean;
}

export interface AttemptListener {
  /** Whole messages, none of them empty, in order. `seen` is live: read it now, do not keep it. */
  onMessages(bytes: Uint8Array, seen: FramesSeen): void;
  /** Exactly once, and nothing after it. Not called after `cancel`. */
  onEnd(end: AttemptEnd): void;
}

export interface Attempt {
  /** Stops reading from the node until `resume`. */
  pause(): void;
  resume(): void;
  /** Tells the node to stop; nothing is reported afterwards. Harmless when the attempt has ended. */
  cancel(): void;
}

export interface AgentTransport {
  /** Never throws; failures are reported to the listener, never before this returned. */
  open(request: AttemptRequest, listener: AttemptListener): Attempt;
}
