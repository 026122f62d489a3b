/**
 * Keeps an instance whose checks come and go from being taken back each time: after three changes within a minute its return is
 * held, 2 s at first and doubling up to 60 s. Pure. Bad news is never held, and an operator's maintenance is no flapping.
 */

const WINDOW_MS = 60_000;
const CHANGES_MIN = 3;
const FIRST_HOLD_MS = 2_000;
const LAST_HOLD_MS = 60_000;
/** Enough changes for the longest hold. */
const CHANGES_KEPT = 8;

export interface FlapHistory {
  readonly isDown: boolean;
  /** When it changed between down and not down, the latest last. */
  readonly changesMs: readonly number[];
  /** Until then it counts as down, whatever its checks say; 0: not held. */
  readonly heldUntilMs: number;
}

export const STEADY: FlapHistory = { isDown: false, changesMs: [], heldUntilMs: 0 };

export function noteChecks(history: FlapHistory, isDown: boolean, nowMs: number): FlapHistory {
  if (isDown === history.isDown) return history;
  const recent = history.changesMs.filter((changeMs) => nowMs - changeMs < WINDOW_MS);
  const changesMs = [...recent, nowMs].slice(-CHANGES_KEPT);
  return { isDown, changesMs, heldUntilMs: isDown ? 0 : nowMs + holdMs(recent.length) };
}

export function isHeld({ heldUntilMs }: FlapHistory, nowMs: number): boolean {
  return nowMs < heldUntilMs;
}

function holdMs(changesBefore: number): number {
  if (changesBefore < CHANGES_MIN) return 0;
  return Math.min(FIRST_HOLD_MS * 2 ** (changesBefore - CHANGES_MIN), LAST_HOLD_MS);
}
