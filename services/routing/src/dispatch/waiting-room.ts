/**
 * Calls that no node can take now, in the order in which they came. Whenever the fleet or a node's health changes each of
 * them looks again.
 */
import { type Clock, DroverError, type Timer } from "@drover/platform";
import type { Fleet } from "../fleet/fleet.ts";
import { everyNodeHealthy, type HealthGate } from "../health/health-gate.ts";

/** Calls that wait at once; each holds a request body, so the budget of bodies usually ends first. */
export const WAITING_MAX = 10_000;

/**
 * A busy fleet changes hundreds of times a second, and a look of a thousand calls takes milliseconds: the first change of
 * a quiet fleet is looked at at once, the others together, and looking takes at most a tenth of the time.
 */
const LOOK_PAUSE_MS = 20;
const LOOK_PAUSE_FACTOR = 9;
/** Timers may fire a millisecond before their time; looked at then, an ejected node would still be hidden. */
const TIMER_SLACK_MS = 5;

export function roomFull(): DroverError {
  return new DroverError("queue_full", "Too many calls wait at this router: try again later.", { retryAfterMs: 1_000 });
}

export class WaitingRoom {
  readonly #clock: Clock;
  /** How to let each look again, with the model that it waits for. */
  readonly #waiting = new Map<() => void, string>();
  readonly #health: HealthGate;
  readonly #stops: readonly (() => void)[];
  /** Runs after a look; changes in between are for the next one. */
  #pause: Timer | undefined;
  #isLookDue = false;
  /** Runs when the next ejected node may be tried; only while somebody waits. */
  #nextTry: Timer | undefined;

  constructor(fleet: Fleet, clock: Clock, health: HealthGate = everyNodeHealthy) {
    this.#clock = clock;
    this.#health = health;
    const changed = (): void => this.#changed();
    this.#stops = [fleet.onChange(changed), health.onChange(changed)];
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** False when the room is full. Who is in it keeps its place. */
  enter(lookAgain: () => void, modelKey: string): boolean {
    if (this.#waiting.size >= WAITING_MAX && !this.#waiting.has(lookAgain)) return false;
    this.#waiting.set(lookAgain, modelKey);
    this.#nextTry ??= this.#awaitNextTry();
    return true;
  }

  /** How many came before it and wait for the same model. Walks the room, so it is for what is said every few seconds. */
  ahead(lookAgain: () => void): number {
    const modelKey = this.#waiting.get(lookAgain);
    let ahead = 0;
    for (const [other, otherKey] of this.#waiting) {
      if (other === lookAgain) return ahead;
      if (otherKey === modelKey) ahead++;
    }
    return 0;
  }

  leave(lookAgain: () => void): void {
    this.#waiting.delete(lookAgain);
    if (this.#waiting.size === 0) this.#endTimers();
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#waiting.clear();
    this.#endTimers();
  }

  #changed(): void {
    if (this.#pause === undefined) this.#look();
    else this.#isLookDue = true;
  }

  #awaitNextTry(): Timer | undefined {
    const delayMs = this.#health.nextTryMs();
    if (delayMs === undefined) return undefined;
    return this.#clock.after(delayMs + TIMER_SLACK_MS, () => {
      this.#nextTry = undefined;
      this.#changed();
      if (this.#waiting.size > 0) this.#nextTry ??= this.#awaitNextTry();
    });
  }

  #look(): void {
    const beganMs = this.#clock.nowMs();
    // A copy, because who finds a place leaves; and who left because of another one's end must not be asked any more.
    for (const lookAgain of [...this.#waiting.keys()]) if (this.#waiting.has(lookAgain)) lookAgain();
    if (this.#waiting.size === 0) return;
    this.#nextTry ??= this.#awaitNextTry();
    const pauseMs = Math.max(LOOK_PAUSE_MS, (this.#clock.nowMs() - beganMs) * LOOK_PAUSE_FACTOR);
    this.#pause = this.#clock.after(pauseMs, () => {
      const isLookDue = this.#isLookDue;
      this.#endPause();
      if (isLookDue) this.#look();
    });
  }

  #endTimers(): void {
    this.#endPause();
    this.#nextTry?.cancel();
    this.#nextTry = undefined;
  }

  #endPause(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#isLookDue = false;
  }
}
