import { EventEmitter } from "node:events";
import type { ServerHttp2Session } from "node:http2";
import { beforeEach, describe, expect, it } from "vitest";
import { SimClock } from "../sim-clock.ts";
import { SessionSet } from "./session-set.ts";

class FakeSession extends EventEmitter {
  closed = false;
  destroyed = false;
  pings: ((error: Error | null) => void)[] = [];
  goodbyes = 0;
  ping(callback: (error: Error | null) => void): boolean {
    this.pings.push(callback);
    return true;
  }
  close(): void {
    this.goodbyes++;
    this.closed = true;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

let clock: SimClock;
let sessions: SessionSet;
beforeEach(() => {
  clock = new SimClock();
  sessions = new SessionSet({ clock, pingIntervalMs: 1000 });
});

function add(): FakeSession {
  const session = new FakeSession();
  sessions.add(session as unknown as ServerHttp2Session);
  return session;
}

describe("SessionSet", () => {
  it("ends a session that has not answered one ping when the next is due, and no other", () => {
    const dead = add();
    const live = add();
    clock.advance(1000);
    live.pings[0]?.(null);
    clock.advance(1000);
    expect([dead.destroyed, live.destroyed]).toEqual([true, false]);
    expect(live.pings).toHaveLength(2);
  });

  it("never reads a failed ping of a closing session as its death", () => {
    const session = add();
    clock.advance(1000);
    session.close();
    session.pings[0]?.(new Error("ERR_HTTP2_PING_CANCEL"));
    clock.advance(5000);
    expect(session.destroyed).toBe(false);
    expect(session.pings).toHaveLength(1);
  });

  it("leaves no timer when the last session is gone, and starts again with the next", () => {
    const session = add();
    expect(clock.pendingCount).toBe(1);
    session.emit("close");
    expect([clock.pendingCount, sessions.size]).toEqual([0, 0]);
    const next = add();
    clock.advance(1000);
    expect(next.pings).toHaveLength(1);
  });

  it("says goodbye to all, once each is alive, and ends all", () => {
    const first = add();
    const second = add();
    second.destroyed = true;
    sessions.goAway();
    expect([first.goodbyes, second.goodbyes]).toEqual([1, 0]);
    sessions.destroy();
    expect(first.destroyed).toBe(true);
    expect([clock.pendingCount, sessions.size]).toEqual([0, 0]);
  });

  it("listens to errors as long as a session lives", () => {
    const session = add();
    session.emit("error", new Error("reset"));
    session.emit("error", new Error("again"));
    expect(sessions.size).toBe(1);
  });
});
