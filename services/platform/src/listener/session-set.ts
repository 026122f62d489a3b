/**
 * The HTTP/2 sessions of a listener: asks each for a sign of life, says goodbye to all, or ends them. It does not look at streams.
 */
import type { ServerHttp2Session } from "node:http2";
import type { Clock, Timer } from "../clock.ts";

export interface SessionSetOptions {
  readonly clock: Clock;
  readonly pingIntervalMs: number;
}

export class SessionSet {
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Sessions whose last ping is open. */
  readonly #unanswered = new WeakSet<ServerHttp2Session>();
  readonly #options: SessionSetOptions;
  #timer: Timer | undefined;

  constructor(options: SessionSetOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    // Stays until the end: an `error` without a listener ends the process.
    session.on("error", ignore);
    session.once("close", () => {
      this.#sessions.delete(session);
      if (this.#sessions.size === 0) this.#stopPings();
    });
    this.#timer ??= this.#nextPings();
  }

  /** Sends GOAWAY; live streams finish, new ones are refused. */
  goAway(): void {
    for (const session of this.#sessions) if (!session.destroyed) session.close();
  }

  destroy(): void {
    this.#stopPings();
    for (const session of this.#sessions) session.destroy();
  }

  #nextPings(): Timer {
    return this.#options.clock.after(this.#options.pingIntervalMs, () => {
      for (const session of this.#sessions) this.#ping(session);
      this.#timer = this.#sessions.size === 0 ? undefined : this.#nextPings();
    });
  }

  #stopPings(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #ping(session: ServerHttp2Session): void {
    if (this.#unanswered.has(session)) {
      session.destroy();
      return;
    }
    // A closing session answers pings with an error although its peer lives: nothing can be learnt there.
    if (session.closed || session.destroyed) return;
    this.#unanswered.add(session);
    session.ping((error) => {
      if (error === null || session.closed) this.#unanswered.delete(session);
    });
  }
}

function ignore(): void {
  // "close" follows and does the work.
}
