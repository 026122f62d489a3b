/**
 * Time and chance for the client, which runs in browsers too and so does without @drover/platform. The only place of the client
 * that asks the runtime for them; tests bring a simulated clock of the same shape.
 */

export interface Timer {
  cancel(): void;
  /** Lets a Node process end although this waits. */
  unref?(): void;
}

export interface Clock {
  /** Milliseconds that only ever rise. */
  nowMs(): number;
  after(delayMs: number, action: () => void): Timer;
}

export interface Rng {
  /** Uniform in [0, 1). */
  next(): number;
}

/** The longest delay that setTimeout honours: 2^31 - 1 ms. */
const LONGEST_DELAY_MS = 2_147_483_647;

export const runtimeClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, action) => {
    // A number in browsers, an object in Node.
    const handle: unknown = setTimeout(action, Math.min(Math.max(delayMs, 0), LONGEST_DELAY_MS));
    return {
      cancel: () => clearTimeout(handle as number),
      unref: () => {
        if (typeof handle === "object") (handle as { unref?: () => void }).unref?.();
      },
    };
  },
};

export const runtimeRng: Rng = { next: () => Math.random() };
