/**
 * The caller's end of a call that came through connect: turns the bytes that dispatch lets pass into messages, and hands
 * them out one by one. Only callers beside plain gRPC pay for this decoding.
 */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { DroverError, type Metadata, ReadAheadBuffer } from "@drover/platform";
import type { CallEnding, CallerStream } from "../dispatch/call-request.ts";
import { messagesOf } from "../transport/frame-scanner.ts";

/** What waits for a caller that reads slowly; then the node is told to pause. */
const READ_AHEAD_BYTES = 256 * 1024;

export class ConnectCaller<Desc extends DescMessage> implements CallerStream {
  readonly #schema: Desc;
  readonly #messages = new ReadAheadBuffer<MessageShape<Desc>>(READ_AHEAD_BYTES);
  #trailers: Metadata = {};

  constructor(schema: Desc) {
    this.#schema = schema;
  }

  /** Complete once `next` has answered undefined or has thrown. */
  get trailers(): Metadata {
    return this.#trailers;
  }

  write(frames: Uint8Array): boolean {
    try {
      for (const bytes of messagesOf(frames)) this.#messages.push(fromBinary(this.#schema, bytes), bytes.length);
    } catch (cause) {
      // What was read before it is still told; whoever reads this end gives the call up.
      this.#messages.fail(undecodable(this.#schema, cause));
    }
    return !this.#messages.isFull;
  }

  end({ error, trailers }: CallEnding): void {
    this.#trailers = trailers;
    if (error === undefined) this.#messages.end();
    else this.#messages.fail(error);
  }

  /** The caller left: whoever waits for a message is told, and what is left is dropped. */
  leave(): void {
    this.#messages.abort(new DroverError("cancelled", "The caller cancelled the call or left."));
  }

  /** The next message; undefined after the last one. Throws the DroverError that ended the call. One reader at a time. */
  next(): Promise<MessageShape<Desc> | undefined> {
    return this.#messages.take();
  }
}

/** Nobody else looks into an answer: to gRPC callers it goes as it came. */
function undecodable({ name }: DescMessage, cause: unknown): DroverError {
  const words = `The node sent what is no ${name}. Its agent may be of another version than the one that serves this call.`;
  return new DroverError("node_protocol_error", words, { cause });
}
