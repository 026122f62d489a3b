/**
 * Time as the rest of Drover sees it. Nothing outside this folder may read the system clock or set a timer,
 * so that all logic runs on simulated time.
 */

/** A pending action; `cancel` is harmless after it ran. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with a fraction; only differences mean something. */
  nowMs(): number;
  /** Milliseconds since 1970-01-01 UTC, for what people read. Never use it to measure. */
  wallMs(): number;
  /** Runs `action` once, `delayMs` from now (0 or more; over 24.8 days it is clamped, because setTimeout would fire at once). */
  after(delayMs: number, action: () => void): Timer;
}

/** The longest delay that setTimeout honours: 2^31 - 1 ms. */
const LONGEST_DELAY_MS = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, action) => {
    const handle = setTimeout(action, Math.min(Math.max(delayMs, 0), LONGEST_DELAY_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts; never rejects, so the caller looks at the signal. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const finish = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.after(delayMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
