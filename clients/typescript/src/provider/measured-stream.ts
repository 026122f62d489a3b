/**
 * An answer whose measured times are noted when it ends. It adds nothing to a piece on its way.
 */
import type { CallFacts } from "../client/answer-result.ts";
import type { TokenStream } from "../client/token-stream.ts";

export function measuredStream<Chunk, Result extends CallFacts>(
  stream: TokenStream<Chunk, Result>,
  note: (facts: CallFacts) => void,
): TokenStream<Chunk, Result> {
  let isNoted = false;
  /** Only once somebody reads: asking for the result would begin to. */
  const noteAtEnd = (): void => {
    if (isNoted) return;
    isNoted = true;
    // Of a call that failed its reader is told.
    stream.result().then(note, () => undefined);
  };
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = stream[Symbol.asyncIterator]();
      noteAtEnd();
      return iterator;
    },
    text: () => {
      const text = stream.text();
      noteAtEnd();
      return text;
    },
    result: () => {
      const result = stream.result();
      noteAtEnd();
      return result;
    },
    cancel: () => stream.cancel(),
  };
}
