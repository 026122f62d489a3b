/**
 * One HTTP/2 connection to each endpoint, opened when it is first needed and again after it was lost. A connection that the
 * agent is closing (GOAWAY) takes no new streams, but keeps those that run.
 */
import { type ClientHttp2Session, type ClientSessionOptions, connect } from "node:http2";
import type { Clock, Timer } from "@drover/platform";
import { type KeepAlive, keepAlive } from "./keep-alive.ts";

export interface SessionPoolLimits {
  /** A machine that is up answers in milliseconds; one that is gone must not hold a call. Default 3 s. */
  readonly connectTimeoutMs: number;
  /** As KeepAliveOptions. Default 10 s: a call without a deadline hangs for twice that on a machine that lost power. */
  readonly pingIntervalMs: number;
  /** As KeepAliveOptions. Default 300 s. */
  readonly idleTimeoutMs: number;
}

const LIMITS: SessionPoolLimits = { connectTimeoutMs: 3_000, pingIntervalMs: 10_000, idleTimeoutMs: 300_000 };

const SESSION_OPTIONS: ClientSessionOptions = {
  // The default of 10 MB kills the whole connection once a few hundred callers read slowly.
  maxSessionMemory: Number.MAX_SAFE_INTEGER,
  settings: { enablePush: false, initialWindowSize: 1 << 20 },
};

type SessionCallback = (session: ClientHttp2Session | undefined, error: unknown) => void;

interface Slot {
  readonly session: ClientHttp2Session;
  /** Callers that wait for the peer's SETTINGS; undefined once those have come. Bounded by the calls that dispatch admits. */
  waiting: SessionCallback[] | undefined;
  readonly timer: Timer;
  readonly keepAlive: KeepAlive;
}

export class SessionPool {
  readonly #clock: Clock;
  readonly #limits: SessionPoolLimits;
  readonly #slots = new Map<string, Slot>();
  /** Those that are closing included: they are in no slot once another took theirs. */
  readonly #sessions = new Set<ClientHttp2Session>();
  #isDestroyed = false;

  constructor(clock: Clock, limits: Partial<SessionPoolLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Calls back with a session that takes streams, at once when there is one. */
  acquire(endpoint: string, callback: SessionCallback): void {
    if (this.#isDestroyed) return callback(undefined, new Error("the pool was destroyed"));
    const slot = this.#slots.get(endpoint);
    if (slot !== undefined && isUsable(slot.session)) {
      slot.keepAlive.used();
      if (slot.waiting === undefined) callback(slot.session, undefined);
      else slot.waiting.push(callback);
      return;
    }
    this.#connect(endpoint, callback);
  }

  /** Ends every connection; streams that still run are broken. None is opened afterwards, not even to try them again. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const session of this.#sessions) session.destroy();
    this.#slots.clear();
  }

  #connect(endpoint: string, callback: SessionCallback): void {
    let session: ClientHttp2Session;
    try {
      session = connect(`http://${endpoint}`, SESSION_OPTIONS);
    } catch (error) {
      // What discovery named is no address.
      return callback(undefined, error);
    }
    const timer = this.#clock.after(this.#limits.connectTimeoutMs, () => {
      session.destroy(Object.assign(new Error("connect timeout"), { code: "ETIMEDOUT" }));
    });
    const slot: Slot = {
      session,
      waiting: [callback],
      timer,
      keepAlive: keepAlive(session, { clock: this.#clock, ...this.#limits }),
    };
    this.#slots.set(endpoint, slot);
    this.#sessions.add(session);
    let failure: unknown;
    // Streams opened before SETTINGS arrive may exceed the peer's limit and be refused: wait for them.
    session.once("remoteSettings", () => settle(slot, session, undefined));
    session.on("error", (error) => {
      failure = error;
    });
    session.once("close", () => {
      slot.keepAlive.stop();
      this.#sessions.delete(session);
      settle(slot, undefined, failure);
      if (this.#slots.get(endpoint) === slot) this.#slots.delete(endpoint);
    });
  }
}

function settle(slot: Slot, session: ClientHttp2Session | undefined, error: unknown): void {
  slot.timer.cancel();
  const waiting = slot.waiting ?? [];
  slot.waiting = undefined;
  for (const callback of waiting) callback(session, error);
}

/** `closed` is set by a GOAWAY too. */
function isUsable(session: ClientHttp2Session): boolean {
  return !session.closed && !session.destroyed;
}
