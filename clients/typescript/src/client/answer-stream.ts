/**
 * One streamed answer: asked for at the first use, read piece by piece, kept for `text()` and `result()`, ended at the node when
 * its reader leaves. What the pieces of a method mean comes in as an AnswerCall.
 */
import type { Progress as ProgressMessage } from "@drover/proto/drover/inference/v1/inference_pb";
import { clientError, DroverError, invalidArgument } from "../errors/drover-error.ts";
import { toDroverError } from "../errors/from-connect-error.ts";
import { META, readText } from "../metadata.ts";
import type { AnswerCall, OpenedStream, StreamMessage, WholeAnswer } from "./answer-call.ts";
import type { CollectedAnswer } from "./collected-answer.ts";
import { type Progress, progressWords, readProgress } from "./progress.ts";
import type { BegunCall } from "./sending.ts";
import type { AnswerChunk, TokenStream } from "./token-stream.ts";
import type { ToolCall } from "./tools.ts";

/** fresh → opening → reading → ended; whatever fails goes to ended at once. */
type State<Piece, Done> =
  | { readonly kind: "fresh" }
  | { readonly kind: "opening"; readonly call: BegunCall; readonly opened: Promise<unknown> }
  | {
      readonly kind: "reading";
      readonly call: BegunCall;
      readonly stream: OpenedStream<Piece, Done>;
      readonly source: AsyncIterator<StreamMessage<Piece, Done>>;
    }
  | { readonly kind: "ended"; readonly error: DroverError | undefined };

type Read<Chunk> = IteratorResult<Chunk, undefined>;

const END = { done: true, value: undefined } as const;

export class AnswerStream<Piece, Done, Chunk extends AnswerChunk<ToolCall, unknown>, Result>
  implements TokenStream<Chunk, Result>
{
  readonly #call: AnswerCall<Piece, Done, Chunk, Result>;
  readonly #answer: CollectedAnswer;
  readonly #whole = Promise.withResolvers<WholeAnswer<Done>>();
  #state: State<Piece, Done> = { kind: "fresh" };
  #reader: "nobody" | "loop" | "collector" = "nobody";
  #done: Done | undefined;
  #lastProgress: Progress | undefined;

  constructor(call: AnswerCall<Piece, Done, Chunk, Result>, answer: CollectedAnswer) {
    this.#call = call;
    this.#answer = answer;
    // The reader is told of a failure; who asks for the result later is told again, and who never asks is no bug.
    this.#whole.promise.catch(() => undefined);
  }

  [Symbol.asyncIterator](): AsyncIterator<Chunk, undefined> {
    if (this.#reader !== "nobody") {
      throw invalidArgument("This answer is being read already: loop over it once, and before text() or result().");
    }
    this.#reader = "loop";
    const leave = async (): Promise<typeof END> => {
      this.#stop("the loop was left");
      return END;
    };
    return { next: this.#next, return: leave };
  }

  async text(): Promise<string> {
    const { answer } = await this.#collect();
    return answer.text;
  }

  async result(): Promise<Result> {
    return this.#call.result(await this.#collect());
  }

  cancel(): void {
    this.#stop("cancel() was called");
  }

  async #collect(): Promise<WholeAnswer<Done>> {
    if (this.#reader === "nobody") {
      this.#reader = "collector";
      while (!this.#answer.isCut && (await this.#next()).done !== true);
      if (this.#answer.isCut) this.#stop("the answer is too long");
    }
    if (this.#answer.isCut) throw tooLong(this.#answer);
    return this.#whole.promise;
  }

  /** One promise for each message beside the transport's own: tokens come by the thousand. */
  readonly #next = (): Promise<Read<Chunk>> => {
    const state = this.#state;
    switch (state.kind) {
      case "reading":
        return state.source.next().then(this.#take, this.#fail);
      case "fresh":
        return this.#open();
      case "opening":
        return state.opened.then(this.#next, this.#next);
      case "ended":
        return state.error === undefined ? Promise.resolve(END) : Promise.reject(state.error);
    }
  };

  async #open(): Promise<Read<Chunk>> {
    try {
      const call = this.#call.begin();
      const opened = this.#call.open(call);
      this.#state = { kind: "opening", call, opened };
      const stream = await opened;
      // cancel() may have been called meanwhile.
      if (this.#state.kind === "opening") {
        this.#state = { kind: "reading", call, stream, source: stream.message[Symbol.asyncIterator]() };
      }
    } catch (error) {
      return this.#fail(error);
    }
    return this.#next();
  }

  readonly #take = (read: IteratorResult<StreamMessage<Piece, Done>>): Read<Chunk> | Promise<Read<Chunk>> => {
    if (this.#state.kind === "ended") return this.#next();
    try {
      return read.done === true ? this.#finish() : this.#takeMessage(read.value);
    } catch (error) {
      return this.#fail(error);
    }
  };

  #takeMessage({ event }: StreamMessage<Piece, Done>): Read<Chunk> | Promise<Read<Chunk>> {
    switch (event.case) {
      case "chunk": {
        const chunk = this.#call.chunk(event.value);
        this.#answer.add(chunk);
        return { done: false, value: chunk };
      }
      case "done": {
        this.#done = event.value;
        const chunk = this.#call.chunk(event.value);
        if (isEmpty(chunk)) return this.#next();
        this.#answer.add(chunk);
        return { done: false, value: chunk };
      }
      case "progress":
        this.#tellProgress(event.value);
        return this.#next();
      default:
        // A newer router may say more.
        return this.#next();
    }
  }

  #tellProgress(message: ProgressMessage): void {
    const progress = readProgress(message);
    if (progress === undefined) return;
    this.#lastProgress = progress;
    try {
      this.#call.onProgress?.(progress);
    } catch (cause) {
      throw invalidArgument(`onProgress threw: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
  }

  #finish(): Read<Chunk> | Promise<Read<Chunk>> {
    const state = this.#state;
    if (state.kind !== "reading") return this.#next();
    if (this.#done === undefined) {
      const words = "The stream ended without its last message (`done`), so the answer may be cut.";
      throw clientError("PROTOCOL_ERROR", words, this.#received(state));
    }
    state.call.scope.leave();
    this.#state = { kind: "ended", error: undefined };
    const { header, trailer } = state.stream;
    this.#whole.resolve({ answer: this.#answer, done: this.#done, header, trailer });
    return END;
  }

  readonly #fail = (thrown: unknown): Promise<never> => Promise.reject(this.#end(thrown));

  #stop(why: string): void {
    const state = this.#state;
    if (state.kind === "opening" || state.kind === "reading") state.call.scope.end(why);
    if (state.kind !== "ended") this.#end(why);
  }

  /** Only the first failure counts: what a transport throws after its caller left is no news. */
  #end(thrown: unknown): DroverError {
    const state = this.#state;
    if (state.kind === "ended" && state.error !== undefined) return state.error;
    const error = this.#errorOf(thrown);
    this.#state = { kind: "ended", error };
    this.#whole.reject(error);
    return error;
  }

  #errorOf(thrown: unknown): DroverError {
    const state = this.#state;
    if (state.kind === "opening" || state.kind === "reading") {
      const { timeoutMs, scope } = state.call;
      const lastProgress = this.#answer.pieces === 0 ? progressWords(this.#lastProgress) : "";
      const received = this.#received(state);
      return withReceived(scope.failure(thrown, { ...received, timeoutMs, lastProgress }), received);
    }
    // Nothing was sent: it was refused, or ended before its first use.
    return toDroverError(thrown, { isCancelled: true, cancelCause: thrown, timeoutMs: undefined, hasAnswered: false });
  }

  #received(state: State<Piece, Done>) {
    const callId = state.kind === "reading" ? readText(state.stream.header, META.call) : undefined;
    const { pieces: tokensReceived, text: partialText } = this.#answer;
    return { callId, tokensReceived, partialText, hasAnswered: state.kind === "reading" };
  }
}

/** An error that was found here, in a message, does not know of the rest of the answer. */
function withReceived(
  error: DroverError,
  { callId, tokensReceived }: { callId: string | undefined; tokensReceived: number },
) {
  if (error.reason !== "OUTPUT_INVALID") return error;
  const { message, reason, status, partialText, cause } = error;
  return new DroverError(message, { reason, status, partialText, cause, callId, tokensReceived });
}

function isEmpty({ text, thinking, toolCalls, logprobs }: AnswerChunk<ToolCall, unknown>): boolean {
  return text === "" && thinking === "" && toolCalls.length === 0 && logprobs.length === 0;
}

function tooLong({ pieces, text }: CollectedAnswer): DroverError {
  const words = "The answer is too long to be kept whole: read it as it comes, with `for await`.";
  return clientError("ANSWER_TOO_LONG", words, { tokensReceived: pieces, partialText: text });
}
