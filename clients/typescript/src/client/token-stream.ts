/**
 * An answer that comes piece by piece, as callers see it.
 */

/**
 * The answer of a generate or chat call. The call is sent at the first use: the loop, `text()` or `result()`.
 *
 * ```ts
 * for await (const { text } of client.chat({ model, messages })) process.stdout.write(text);
 * ```
 *
 * Leaving the loop ends the call at the node. It can be looped over once; `text()` and `result()` may both be asked, after a loop
 * too, or instead of it. Nothing is read ahead: who does not read holds up the answer, and after 30 s the router ends it.
 */
export interface TokenStream<Chunk, Result> extends AsyncIterable<Chunk> {
  /** The whole text. Fails as the call fails, and with ANSWER_TOO_LONG over 16 Mi characters. */
  text(): Promise<string>;
  /** The whole answer with its counts and times. Fails as the call fails, with OUTPUT_INVALID where `format` is not met. */
  result(): Promise<Result>;
  /** Ends the call, at the node too; whoever reads gets reason CANCELLED. Harmless after the end. */
  cancel(): void;
}

/** A piece of an answer. */
export interface AnswerChunk<Call, Raw> {
  /** What it adds to the text; may be empty. */
  readonly text: string;
  /** What it adds to the model's thinking; may be empty. */
  readonly thinking: string;
  /** Calls of tools that it brings, whole ones. */
  readonly toolCalls: readonly Call[];
  /** Log probabilities of its tokens; empty unless asked for. */
  readonly logprobs: readonly Logprob[];
  /** The contract's message, with all that a node said. */
  readonly raw: Raw;
}

/** How likely a token was. */
export interface Logprob {
  readonly token: string;
  /** Natural logarithm of its probability. */
  readonly logprob: number;
  /** The token's bytes; empty: not told. */
  readonly tokenBytes: Uint8Array;
  /** The likeliest alternatives, as many as were asked for. */
  readonly topLogprobs: readonly Omit<Logprob, "topLogprobs">[];
}
