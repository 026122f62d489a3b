/**
 * Asks a connection for a sign of life as long as it is used, and ends it when none comes: a machine that loses power sends
 * neither FIN nor RST, and its streams would hang for ever. Lets a connection go that nobody has used for a while.
 *
 * The shape is gRFC A8's; agents are ours and permit the pings.
 */
import type { ClientHttp2Session } from "node:http2";
import type { Clock, Timer } from "@drover/platform";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** Between two pings; one that is not answered by the next one's time ends the connection. */
  readonly pingIntervalMs: number;
  /** A connection takes no new streams when the last one began this long ago; those that run stay. */
  readonly idleTimeoutMs: number;
}

export interface KeepAlive {
  /** A stream begins. */
  used(): void;
  stop(): void;
}

export function keepAlive(session: ClientHttp2Session, options: KeepAliveOptions): KeepAlive {
  const { clock, idleTimeoutMs } = options;
  const intervalMs = Math.min(options.pingIntervalMs, idleTimeoutMs);
  let usedMs = clock.nowMs();
  let isAnswered = true;
  const tick = (): void => {
    // A connection that is closing answers pings with an error although its peer lives: nothing can be learnt there.
    if (session.closed || session.destroyed) return;
    if (!isAnswered) return session.destroy(Object.assign(new Error("no answer to a ping"), { code: "ETIMEDOUT" }));
    if (clock.nowMs() - usedMs >= idleTimeoutMs) return session.close();
    isAnswered = false;
    session.ping((error) => {
      isAnswered = error === null;
    });
    timer = clock.after(intervalMs, tick);
  };
  let timer: Timer = clock.after(intervalMs, tick);
  return {
    used: () => {
      usedMs = clock.nowMs();
    },
    stop: () => timer.cancel(),
  };
}
