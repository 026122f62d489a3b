/** When a call that waits for a runner can expect its slot, from what is learned. Arithmetic alone; it guesses nothing. */

export interface WaitFacts {
  /** Slots of the runner, 1 and up. */
  readonly slots: number;
  /** For each slot that is not free: when it will be, in milliseconds, 0 and up. */
  readonly freeInMs: readonly number[];
  /** Calls that get a slot of this runner before this one. */
  readonly ahead: number;
  /** How long a call usually holds a slot; undefined while that is not learned. */
  readonly holdMs: number | undefined;
}

/** Milliseconds until the slot; undefined while nothing is learned and no slot is free for this call. */
export function expectedWaitMs({ slots, freeInMs, ahead, holdMs }: WaitFacts): number | undefined {
  const free = Math.max(0, slots - freeInMs.length);
  if (ahead < free) return 0;
  const soonestFirst = [...Array.from({ length: free }, () => 0), ...freeInMs].sort((left, right) => left - right);
  const firstMs = soonestFirst[ahead % slots] ?? 0;
  const rounds = Math.floor(ahead / slots);
  if (rounds === 0) return firstMs;
  return holdMs === undefined ? undefined : firstMs + rounds * holdMs;
}
