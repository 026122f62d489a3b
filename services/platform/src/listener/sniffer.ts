/**
 * Tells HTTP/2 from HTTP/1.1 by the first three bytes of a clear-text connection and puts them back. Knows neither protocol
 * beyond that, and owns a connection only until then.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";

/** HTTP/2's preface starts with `PRI`, which no HTTP/1 method does. `P` alone may be POST, PUT or PATCH. */
const PRI = Buffer.from("PRI");

export interface SnifferOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly onHttp2: (socket: Socket) => void;
  readonly onHttp1: (socket: Socket) => void;
}

export interface Sniffer {
  sniff(socket: Socket): void;
  /** Connections that have not spoken yet; at most as many as the listener accepts. */
  readonly pendingCount: number;
  /** Closes those: nothing is lost, they asked for nothing. */
  closePending(): void;
}

export function createSniffer(options: SnifferOptions): Sniffer {
  const pending = new Set<Socket>();
  const sniff = (socket: Socket): void => {
    let seen: Buffer = Buffer.alloc(0);
    const timer = options.clock.after(options.timeoutMs, () => socket.destroy());
    const stop = (): void => {
      pending.delete(socket);
      timer.cancel();
      socket.off("readable", look);
      socket.off("close", stop);
    };
    const look = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const known = Math.min(PRI.length, seen.length);
      const isHttp2 = seen.subarray(0, known).equals(PRI.subarray(0, known));
      if (isHttp2 && known < PRI.length) return;
      stop();
      socket.unshift(seen);
      (isHttp2 ? options.onHttp2 : options.onHttp1)(socket);
    };
    pending.add(socket);
    socket.on("readable", look);
    socket.on("close", stop);
    // Stays for the connection's life: a reset between two owners must not find it without a listener.
    socket.on("error", ignore);
  };
  return {
    sniff,
    get pendingCount() {
      return pending.size;
    },
    closePending: () => {
      for (const socket of pending) socket.destroy();
    },
  };
}

function ignore(): void {
  // "close" follows and does the work.
}
