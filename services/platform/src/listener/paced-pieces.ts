/** The pieces of a request as they come, until their sender is too slow or the call's deadline has passed. */
import type { DroverError } from "../drover-error.ts";
import { type PaceOptions, watchPace } from "../request-message.ts";

/** Throws a DroverError when time is up, also while it waits for a piece. */
export async function* paced(
  source: AsyncIterable<Uint8Array>,
  options: PaceOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = source[Symbol.asyncIterator]();
  let receivedBytes = 0;
  let late: DroverError | undefined;
  let giveUp: (error: DroverError) => void = () => undefined;
  const watch = watchPace(
    () => receivedBytes,
    options,
    (error) => {
      late = error;
      giveUp(error);
    },
  );
  try {
    for (;;) {
      if (late !== undefined) throw late;
      // Not Promise.race with one promise for all pieces: it would remember each of a million.
      const { done, value } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        pieces.next().then(resolve, reject);
      });
      if (done === true) return;
      receivedBytes += value.length;
      yield value;
    }
  } finally {
    watch.stop();
    // Not awaited: it waits behind the piece that does not come.
    pieces.return?.().catch(() => undefined);
  }
}
