/**
 * One HTTP/2 connection of a pool: hands itself out once the agent's SETTINGS have come, counts its streams, and tells its end
 * once. Which connection a call gets, and when another one is opened, is the pool's.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Clock, Timer } from "@drover/platform";
import { keepAlive } from "./keep-alive.ts";
import type { PoolLimits } from "./pool-limits.ts";

const SESSION_OPTIONS: ClientSessionOptions = {
  // The default of 10 MB kills the whole connection once a few hundred callers read slowly.
  maxSessionMemory: Number.MAX_SAFE_INTEGER,
  settings: { enablePush: false, initialWindowSize: 1 << 20 },
};

export type ConnectionCallback = (connection: PooledConnection | undefined, error: unknown) => void;

export interface ConnectionEvents {
  /** It takes streams from now on. */
  readonly onOpen: (connection: PooledConnection) => void;
  /** Its last event. `unserved` waited for it to open, which it never did. */
  readonly onClose: (connection: PooledConnection, error: unknown, unserved: readonly ConnectionCallback[]) => void;
}

export class PooledConnection {
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  readonly #limits: PoolLimits;
  /** First the patience with the peer's SETTINGS, then the keep-alive. */
  #timer: Timer;
  /** Callers that wait for the peer's SETTINGS; undefined once those have come. Bounded by the calls that dispatch admits. */
  #waiting: ConnectionCallback[] | undefined = [];
  #streams = 0;
  #idleSinceMs: number | undefined;

  /** Begins to connect. Throws when what discovery named is no address. */
  constructor(endpoint: string, clock: Clock, limits: PoolLimits, events: ConnectionEvents) {
    this.#session = connect(`http://${endpoint}`, SESSION_OPTIONS);
    this.#clock = clock;
    this.#limits = limits;
    this.#timer = clock.after(limits.connectTimeoutMs, () => {
      this.#session.destroy(Object.assign(new Error("connect timeout"), { code: "ETIMEDOUT" }));
    });
    this.#listen(events);
  }

  /** Whether it takes streams, or will. `closed` is set by a GOAWAY too; the streams that run then stay. */
  get isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Whether the peer's SETTINGS have come, be it closing since. */
  get wasOpened(): boolean {
    return this.#waiting === undefined;
  }

  get streams(): number {
    return this.#streams;
  }

  /** Callers that wait until it is open. */
  get pending(): number {
    return this.#waiting?.length ?? 0;
  }

  /** What runs on it and what will. */
  get load(): number {
    return this.#streams + this.pending;
  }

  /** More streams would wait inside Node for others to end; before the peer's SETTINGS its limit is not known. */
  get hasRoom(): boolean {
    const { streamsPerConnection } = this.#limits;
    const peersMax = this.wasOpened ? this.#session.remoteSettings.maxConcurrentStreams : undefined;
    return this.load < Math.min(streamsPerConnection, peersMax ?? streamsPerConnection);
  }

  /** Calls back when it takes streams, at once if it does; whoever waits in vain is in `onClose`. */
  whenOpen(callback: ConnectionCallback): void {
    if (this.#waiting === undefined) callback(this, undefined);
    else this.#waiting.push(callback);
  }

  /** Throws on a closed connection up to Node 22; from 24 on the stream emits `error` instead. */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#session.request(headers);
    this.#streams++;
    this.#idleSinceMs = undefined;
    stream.on("close", this.#onStreamClose);
    return stream;
  }

  /** Streams that still run are broken. */
  destroy(): void {
    this.#session.destroy();
  }

  readonly #onStreamClose = (): void => {
    this.#streams--;
    if (this.#streams === 0) this.#idleSinceMs = this.#clock.nowMs();
  };

  #listen({ onOpen, onClose }: ConnectionEvents): void {
    const session = this.#session;
    let failure: unknown;
    // Streams opened before SETTINGS arrive may exceed the peer's limit and be refused: wait for them.
    session.once("remoteSettings", () => {
      const waiting = this.#opened();
      onOpen(this);
      for (const callback of waiting) callback(this, undefined);
    });
    // For its whole life: an `error` that nobody hears ends the process.
    session.on("error", (error) => {
      failure = error;
    });
    session.once("close", () => {
      this.#timer.cancel();
      onClose(this, failure, this.#waiting ?? []);
    });
  }

  #opened(): readonly ConnectionCallback[] {
    this.#timer.cancel();
    this.#idleSinceMs = this.#clock.nowMs();
    const keepAliveOptions = { clock: this.#clock, ...this.#limits };
    this.#timer = keepAlive(this.#session, keepAliveOptions, () => this.#idleSinceMs);
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    return waiting;
  }
}
