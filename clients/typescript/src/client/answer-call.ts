/**
 * What an answer stream needs to know of its method: how the call is sent, what a message of the contract says, and what its
 * pieces and its end are for the caller. Types only.
 */
import type { Progress as ProgressMessage } from "@drover/proto/drover/inference/v1/inference_pb";
import type { CollectedAnswer } from "./collected-answer.ts";
import type { Progress } from "./progress.ts";
import type { BegunCall } from "./sending.ts";

/** A message of a stream: the contract's oneof. Undefined is what a newer router may add. */
export interface StreamMessage<Piece, Done> {
  readonly event:
    | { readonly case: "progress"; readonly value: ProgressMessage }
    | { readonly case: "chunk"; readonly value: Piece }
    | { readonly case: "done"; readonly value: Done }
    | { readonly case: undefined };
}

export interface OpenedStream<Piece, Done> {
  readonly header: Headers;
  readonly trailer: Headers;
  readonly message: AsyncIterable<StreamMessage<Piece, Done>>;
}

/** An answer that came to its end. */
export interface WholeAnswer<Done> {
  readonly answer: CollectedAnswer;
  readonly done: Done;
  readonly header: Headers;
  readonly trailer: Headers;
}

export interface AnswerCall<Piece, Done, Chunk, Result> {
  /** Throws a DroverError when it must not be sent. */
  readonly begin: () => BegunCall;
  readonly open: (call: BegunCall) => Promise<OpenedStream<Piece, Done>>;
  readonly chunk: (piece: Piece | Done) => Chunk;
  readonly result: (whole: WholeAnswer<Done>) => Promise<Result>;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}
