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
  /** A connection without streams for so long is closed, when the next ping is due. */
  readonly idleTimeoutMs: number;
}

/** `idleSinceMs`: since when no stream runs, by the clock; undefined while one does. Returns how to stop it. */
export function keepAlive(
  session: ClientHttp2Session,
  { clock, pingIntervalMs, idleTimeoutMs }: KeepAliveOptions,
  idleSinceMs: () => number | undefined,
): Timer {
  const intervalMs = Math.min(pingIntervalMs, idleTimeoutMs);
  let isAnswered = true;
  const tick = (): void => {
    // A connection that is closing answers pings with an error although its peer lives: nothing can be learnt there.
    if (session.closed || session.destroyed) return;
    if (!isAnswered) return session.destroy(Object.assign(new Error("no answer to a ping"), { code: "ETIMEDOUT" }));
    const sinceMs = idleSinceMs();
    if (sinceMs !== undefined && clock.nowMs() - sinceMs >= idleTimeoutMs) return session.close();
    isAnswered = false;
    session.ping((error) => {
      isAnswered = error === null;
    });
    timer = clock.after(intervalMs, tick);
  };
  let timer: Timer = clock.after(intervalMs, tick);
  return { cancel: () => timer.cancel() };
}
