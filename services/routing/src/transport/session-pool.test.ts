import type { ClientHttp2Session } from "node:http2";
import { SimClock, systemClock } from "@drover/platform";
import { afterEach, describe, expect, it } from "vitest";
import { quiet, until } from "../testing/recording-listener.ts";
import { SessionPool, type SessionPoolLimits } from "./session-pool.ts";
import { closedEndpoint, Http2Node, openRawPort } from "./testing/http2-node.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function createPool(clock = systemClock, limits?: Partial<SessionPoolLimits>): SessionPool {
  const pool = new SessionPool(clock, limits);
  closers.push(() => pool.destroy());
  return pool;
}

async function openNode(): Promise<Http2Node> {
  const node = await Http2Node.open((stream) => stream.respond({ ":status": 200 }), {
    settings: { maxConcurrentStreams: 77 },
  });
  closers.push(() => node.close());
  return node;
}

function acquire(pool: SessionPool, endpoint: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    pool.acquire(endpoint, (session, error) => {
      if (session === undefined) reject(error instanceof Error ? error : new Error(String(error)));
      else resolve(session);
    });
  });
}

describe("SessionPool", () => {
  it("opens one connection for all who ask, also while it is being opened", async () => {
    const node = await openNode();
    const pool = createPool();
    const sessions = await Promise.all([1, 2, 3].map(() => acquire(pool, node.endpoint)));
    sessions.push(await acquire(pool, node.endpoint));
    expect(new Set(sessions).size).toBe(1);
    expect(node.sessions.length).toBe(1);
  });

  it("hands a connection out once the node's settings are known, so that its limit of streams holds", async () => {
    const node = await openNode();
    const session = await acquire(createPool(), node.endpoint);
    expect(session.remoteSettings.maxConcurrentStreams).toBe(77);
  });

  it("keeps endpoints apart", async () => {
    const [a, b] = [await openNode(), await openNode()];
    const pool = createPool();
    expect((await acquire(pool, a.endpoint)) === (await acquire(pool, b.endpoint))).toBe(false);
  });

  it("opens a new connection once the node said goodbye, and lets the old one's streams end", async () => {
    const node = await openNode();
    const pool = createPool();
    const old = await acquire(pool, node.endpoint);
    const stream = old.request({ ":path": "/" });
    stream.on("error", () => undefined);
    await until(() => node.streams.length === 1);
    node.sessions[0]?.close();
    await until(() => old.closed);
    const next = await acquire(pool, node.endpoint);
    expect(next === old).toBe(false);
    expect(old.destroyed).toBe(false);
    node.streams[0]?.end();
    stream.resume();
    await until(() => old.destroyed);
    // The end of the old one must not make the pool forget the new one.
    expect((await acquire(pool, node.endpoint)) === next).toBe(true);
  });

  it("opens a new connection after the old one was lost", async () => {
    const node = await openNode();
    const pool = createPool();
    const old = await acquire(pool, node.endpoint);
    node.killSockets();
    await until(() => old.destroyed);
    expect((await acquire(pool, node.endpoint)) === old).toBe(false);
  });

  it("tells everyone who waits when nothing listens", async () => {
    const pool = createPool();
    const endpoint = await closedEndpoint();
    const asked = await Promise.allSettled([acquire(pool, endpoint), acquire(pool, endpoint)]);
    for (const result of asked) expect(result).toMatchObject({ reason: { code: "ECONNREFUSED" } });
  });

  it("gives a port that accepts and says nothing 3 s", async () => {
    const clock = new SimClock();
    const port = await openRawPort(() => undefined);
    closers.push(port.close);
    const asked = acquire(createPool(clock), port.endpoint);
    asked.catch(() => undefined);
    await until(() => port.sockets.size === 1);
    clock.advance(2_999);
    await quiet(5);
    // The patience with the connection, and its keep-alive.
    expect(clock.pendingCount).toBe(2);
    clock.advance(1);
    await expect(asked).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(clock.pendingCount).toBe(0);
  });

  it("leaves only the keep-alive behind once it is connected, and nothing once it is closed", async () => {
    const clock = new SimClock();
    const node = await openNode();
    const session = await acquire(createPool(clock), node.endpoint);
    expect(clock.pendingCount).toBe(1);
    session.destroy();
    await until(() => clock.pendingCount === 0);
  });

  it("closes a connection that nobody used for a while", async () => {
    const node = await openNode();
    const pool = createPool(systemClock, { idleTimeoutMs: 30 });
    const idle = await acquire(pool, node.endpoint);
    await until(() => idle.destroyed && node.sessions[0]?.destroyed === true);
    expect((await acquire(pool, node.endpoint)) === idle).toBe(false);
  });

  it("does not break a stream that is quiet for longer than that", async () => {
    const node = await openNode();
    const session = await acquire(createPool(systemClock, { idleTimeoutMs: 30 }), node.endpoint);
    const stream = session.request({ ":path": "/" });
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    await until(() => node.streams.length === 1);
    await quiet(100);
    node.streams[0]?.end("late");
    await until(() => chunks.length === 1);
    expect(stream.rstCode).toBe(0);
  });

  it("ends a connection whose machine does not answer pings", async () => {
    // Empty SETTINGS, then silence: as a machine that lost its power.
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const mute = await openRawPort((socket) => socket.write(settings));
    closers.push(() => mute.close());
    const clock = new SimClock();
    const session = await acquire(createPool(clock), mute.endpoint);
    session.on("error", () => undefined);
    clock.advance(10_000);
    expect(session.destroyed).toBe(false);
    clock.advance(10_000);
    expect(session.destroyed).toBe(true);
    await until(() => clock.pendingCount === 0);
  });

  it("keeps a connection whose machine answers them", async () => {
    const node = await openNode();
    const clock = new SimClock();
    const pool = createPool(clock);
    const session = await acquire(pool, node.endpoint);
    for (let round = 0; round < 5; round++) {
      clock.advance(10_000);
      await quiet(20);
    }
    expect(await acquire(pool, node.endpoint)).toBe(session);
  });

  it("ends its connections when it is destroyed, and opens none afterwards", async () => {
    const node = await openNode();
    const pool = createPool();
    const session = await acquire(pool, node.endpoint);
    pool.destroy();
    expect(session.destroyed).toBe(true);
    await expect(acquire(pool, node.endpoint)).rejects.toThrow();
    await quiet();
    expect(node.sessions.length).toBe(1);
  });

  it("tells those who wait when it is destroyed", async () => {
    const clock = new SimClock();
    const port = await openRawPort(() => undefined);
    closers.push(port.close);
    const pool = createPool(clock);
    const asked = acquire(pool, port.endpoint);
    asked.catch(() => undefined);
    await until(() => port.sockets.size === 1);
    pool.destroy();
    await expect(asked).rejects.toThrow();
    expect(clock.pendingCount).toBe(0);
  });
});
