/**
 * The wait of one call for a node that takes it: its place in the waiting room, and how long its caller is ready to wait.
 * It does not know what is looked for.
 */
import { type Clock, DroverError, type Timer } from "@drover/platform";
import type { Waiting } from "../balancing/picker.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { CallClock } from "./call-clock.ts";
import type { RouterQueue } from "./progress-words.ts";
import { roomFull, type WaitingRoom } from "./waiting-room.ts";

/** How long a call waits while no node is known at all: long enough for a fleet that is starting. */
const UNKNOWN_FLEET_WAIT_MS = 5_000;

/** For a caller that another router, or the next process of this one, can serve: so it is told at once. */
export function routerStopping(model: string): DroverError {
  const message = `This router stops and no attempt for model "${model}" runs: call again, on another router if there is one.`;
  return new DroverError("router_stopping", message, { facts: { model } });
}

export interface CallWaitParts {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly waiting: WaitingRoom;
}

/** What a wait leads to. */
export interface CallWaitEvents {
  /** Something changed that may bring a node. */
  readonly lookAgain: () => void;
  /** The caller's patience ended; `error` is the latest reason for waiting. */
  readonly tooLong: (error: DroverError) => void;
}

export class CallWait {
  readonly #parts: CallWaitParts;
  readonly #times: CallClock;
  readonly #events: CallWaitEvents;
  /** Undefined while it does not wait, or pauses. */
  #current: { reason: Waiting; sinceMs: number; isFleetKnown: boolean; timer: Timer } | undefined;
  #pause: Timer | undefined;

  constructor(parts: CallWaitParts, times: CallClock, events: CallWaitEvents) {
    this.#parts = parts;
    this.#times = times;
    this.#events = events;
  }

  /** Waits, or goes on waiting for a newer reason. Returns with what the call must end instead, if it may not wait. */
  wait(reason: Waiting, modelKey: string): DroverError | undefined {
    const sinceMs = this.#parts.clock.nowMs();
    const isFleetKnown = this.#parts.fleet.snapshot.nodes.length > 0;
    const before = this.#current;
    this.#pause?.cancel();
    // Still waiting; only what would be said at the end is newer, unless its patience changed with the fleet.
    if (before?.isFleetKnown === isFleetKnown) {
      before.reason = reason;
      before.sinceMs = sinceMs;
      return undefined;
    }
    if (before === undefined) {
      if (this.#times.left().waitMs === 0) return reason.error;
      if (!this.#parts.waiting.enter(this.#events.lookAgain, modelKey)) return roomFull();
    }
    before?.timer.cancel();
    this.#times.beginWait();
    this.#current = { reason, sinceMs, isFleetKnown, timer: this.#patience(isFleetKnown) };
    return undefined;
  }

  /** Looks again after this time; with `modelKey` also when the fleet changes before that, else whatever it does. */
  pause(afterMs: number, modelKey?: string): void {
    const { clock, waiting } = this.#parts;
    this.#stopTimers();
    if (modelKey === undefined) waiting.leave(this.#events.lookAgain);
    // Harmless when it is there already, and where the room is full the time alone has to do.
    else waiting.enter(this.#events.lookAgain, modelKey);
    this.#times.beginWait();
    this.#pause = clock.after(afterMs, this.#events.lookAgain);
  }

  /** The latest reason for waiting; undefined while it does not wait. */
  get error(): DroverError | undefined {
    return this.#current?.reason.error;
  }

  /** Where it stands now. */
  place(): RouterQueue {
    const position = this.#parts.waiting.ahead(this.#events.lookAgain);
    const { reason, sinceMs } = this.#current ?? {};
    if (reason?.expectedMs === undefined || sinceMs === undefined) return { position, expectedMs: undefined };
    return { position, expectedMs: Math.max(reason.expectedMs - (this.#parts.clock.nowMs() - sinceMs), 0) };
  }

  /** Harmless when it does not wait. */
  leave(): void {
    this.#stopTimers();
    this.#times.endWait();
    this.#parts.waiting.leave(this.#events.lookAgain);
  }

  #stopTimers(): void {
    this.#pause?.cancel();
    this.#current?.timer.cancel();
    this.#current = undefined;
  }

  #patience(isFleetKnown: boolean): Timer {
    const leftMs = this.#times.left().waitMs;
    const patienceMs = isFleetKnown ? leftMs : Math.min(leftMs, UNKNOWN_FLEET_WAIT_MS);
    return this.#parts.clock.after(patienceMs, () => {
      if (this.#current !== undefined) this.#events.tooLong(this.#current.reason.error);
    });
  }
}
