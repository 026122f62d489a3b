import type { ClientHttp2Stream } from "node:http2";
import net from "node:net";
import { SimClock, seededRng, systemClock } from "@drover/platform";
import { afterEach, describe, expect, it } from "vitest";
import { quiet, until } from "../testing/recording-listener.ts";
import type { PoolLimits } from "./pool-limits.ts";
import type { PooledConnection } from "./pooled-connection.ts";
import { ENDPOINTS_MAX, SessionPool } from "./session-pool.ts";
import { closedEndpoint, Http2Node, openRawPort } from "./testing/http2-node.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function createPool(clock = systemClock, limits: Partial<PoolLimits> = {}): SessionPool {
  const pool = new SessionPool({ clock, rng: seededRng(1), ...limits });
  closers.push(() => pool.destroy());
  return pool;
}

async function openNode(maxConcurrentStreams = 77): Promise<Http2Node> {
  const node = await Http2Node.open((stream) => stream.respond({ ":status": 200 }), {
    settings: { maxConcurrentStreams },
  });
  closers.push(() => node.close());
  return node;
}

function acquire(pool: SessionPool, endpoint: string): Promise<PooledConnection> {
  return new Promise((resolve, reject) => {
    pool.acquire(endpoint, (connection, error) => {
      if (connection === undefined) reject(error instanceof Error ? error : new Error(String(error)));
      else resolve(connection);
    });
  });
}

/** As an attempt does: on a connection of the pool's choice, and heard to its end. */
async function openStream(pool: SessionPool, endpoint: string): Promise<ClientHttp2Stream> {
  const stream = (await acquire(pool, endpoint)).request({ ":path": "/" });
  stream.on("error", () => undefined);
  stream.resume();
  return stream;
}

async function openStreams(pool: SessionPool, endpoint: string, count: number): Promise<ClientHttp2Stream[]> {
  const streams: ClientHttp2Stream[] = [];
  for (let each = 0; each < count; each++) streams.push(await openStream(pool, endpoint));
  return streams;
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
    const pool = createPool();
    const asked = acquire(pool, node.endpoint);
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 1, pending: 1 });
    expect((await asked).wasOpened).toBe(true);
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 1, pending: 0 });
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
    await until(() => !old.isUsable);
    const next = await acquire(pool, node.endpoint);
    expect(next === old).toBe(false);
    expect(stream.destroyed).toBe(false);
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 2, streams: 1 });
    node.streams[0]?.end();
    stream.resume();
    await until(() => pool.report(node.endpoint).connections === 1);
    // The end of the old one must not make the pool forget the new one.
    expect((await acquire(pool, node.endpoint)) === next).toBe(true);
  });

  it("opens a new connection after the old one was lost", async () => {
    const node = await openNode();
    const pool = createPool();
    const old = await acquire(pool, node.endpoint);
    node.killSockets();
    await until(() => !old.isUsable);
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
    // The patience with the connection.
    expect(clock.pendingCount).toBe(1);
    clock.advance(1);
    await expect(asked).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(clock.pendingCount).toBe(0);
  });

  it("leaves only the keep-alive behind once it is connected, and nothing once it is closed", async () => {
    const clock = new SimClock();
    const node = await openNode();
    const connection = await acquire(createPool(clock), node.endpoint);
    expect(clock.pendingCount).toBe(1);
    connection.destroy();
    await until(() => clock.pendingCount === 0);
  });

  it("closes a connection that nobody used for a while", async () => {
    const node = await openNode();
    const pool = createPool(systemClock, { idleTimeoutMs: 30 });
    const idle = await acquire(pool, node.endpoint);
    await until(() => !idle.isUsable && node.sessions[0]?.destroyed === true);
    expect((await acquire(pool, node.endpoint)) === idle).toBe(false);
  });

  it("counts the idle time from the end of the last stream", async () => {
    const clock = new SimClock();
    const node = await openNode();
    const pool = createPool(clock, { idleTimeoutMs: 30_000, pingIntervalMs: 30_000 });
    const stream = await openStream(pool, node.endpoint);
    await until(() => node.streams.length === 1);
    for (let round = 0; round < 3; round++) {
      clock.advance(30_000);
      await quiet(10);
    }
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 1, streams: 1 });
    node.streams[0]?.end();
    await until(() => stream.destroyed);
    clock.advance(29_999);
    await quiet(10);
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 1, streams: 0 });
    clock.advance(1);
    await until(() => pool.report(node.endpoint).connections === 0);
  });

  it("does not break a stream that is quiet for longer than that", async () => {
    const node = await openNode();
    const connection = await acquire(createPool(systemClock, { idleTimeoutMs: 30 }), node.endpoint);
    const stream = connection.request({ ":path": "/" });
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
    const connection = await acquire(createPool(clock), mute.endpoint);
    clock.advance(10_000);
    expect(connection.isUsable).toBe(true);
    clock.advance(10_000);
    expect(connection.isUsable).toBe(false);
    await until(() => clock.pendingCount === 0);
  });

  it("keeps a connection whose machine answers them", async () => {
    const node = await openNode();
    const clock = new SimClock();
    const pool = createPool(clock);
    const connection = await acquire(pool, node.endpoint);
    for (let round = 0; round < 5; round++) {
      clock.advance(10_000);
      await quiet(20);
    }
    expect(await acquire(pool, node.endpoint)).toBe(connection);
  });

  it("ends its connections when it is destroyed, and opens none afterwards", async () => {
    const node = await openNode();
    const pool = createPool();
    const connection = await acquire(pool, node.endpoint);
    pool.destroy();
    expect(connection.isUsable).toBe(false);
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

describe("a pool of several connections to one agent", () => {
  const several = { maxConnectionsPerAgent: 3, streamsPerConnection: 2 };

  it("opens a further one only while all others are full, up to its bound, and then takes the one with the fewest streams", async () => {
    const node = await openNode();
    const pool = createPool(systemClock, several);
    const opened: number[] = [];
    for (let each = 0; each < 8; each++) {
      await openStream(pool, node.endpoint);
      opened.push(pool.report(node.endpoint).connections);
    }
    expect(opened).toEqual([1, 1, 2, 2, 3, 3, 3, 3]);
    await until(() => node.streams.length === 8);
    const perConnection = node.sessions.map(
      (session) => node.streams.filter((stream) => stream.session === session).length,
    );
    expect(perConnection.sort()).toEqual([2, 3, 3]);
    expect(pool.report(node.endpoint)).toEqual({ connections: 3, streams: 8, pending: 0, failures: 0, lastError: "" });
  });

  it("goes by the agent's own limit of streams where that is smaller", async () => {
    const node = await openNode(1);
    const pool = createPool(systemClock, { ...several, streamsPerConnection: 100 });
    await openStreams(pool, node.endpoint, 3);
    expect(node.sessions).toHaveLength(3);
    await until(() => node.streams.length === 3);
  });

  it("spreads calls that come while nothing is open yet", async () => {
    const node = await openNode();
    const pool = createPool(systemClock, several);
    const connections = await Promise.all([1, 2, 3, 4, 5].map(() => acquire(pool, node.endpoint)));
    expect(new Set(connections).size).toBe(3);
  });

  it("prefers the oldest with room, so that the others get idle and are closed", async () => {
    const node = await openNode();
    const clock = new SimClock();
    const pool = createPool(clock, { ...several, idleTimeoutMs: 5_000 });
    const streams = await openStreams(pool, node.endpoint, 4);
    await until(() => node.streams.length === 4);
    for (const stream of [streams[0], streams[2], streams[3]]) stream?.destroy();
    await until(() => pool.report(node.endpoint).streams === 1);
    await openStream(pool, node.endpoint);
    clock.advance(5_000);
    await until(() => pool.report(node.endpoint).connections === 1);
    expect(pool.report(node.endpoint)).toMatchObject({ connections: 1, streams: 2 });
  });

  it("gives a full connection to those for whom no further one could be opened", async () => {
    const clock = new SimClock();
    let isDeaf = false;
    const node = await openNode(1);
    const port = await openRawPort((socket) => {
      if (isDeaf) return;
      const inner = net.connect(Number(node.endpoint.split(":")[1]));
      inner.on("error", () => undefined);
      socket.pipe(inner).pipe(socket);
    });
    closers.push(port.close);
    const pool = createPool(clock, { ...several, streamsPerConnection: 1 });
    const first = await acquire(pool, port.endpoint);
    first.request({ ":path": "/" }).on("error", () => undefined);
    isDeaf = true;
    const second = acquire(pool, port.endpoint);
    await until(() => port.sockets.size === 2);
    clock.advance(3_000);
    expect(await second).toBe(first);
    expect(pool.report(port.endpoint)).toMatchObject({ connections: 1, failures: 1, lastError: "ETIMEDOUT" });
  });
});

describe("an agent that cannot be reached", () => {
  it("is left alone for a time that grows, and calls are told so at once", async () => {
    const clock = new SimClock();
    const endpoint = await closedEndpoint();
    const pool = createPool(clock);
    const failure = { code: "ECONNREFUSED" };
    for (const [failures, longestMs] of [100, 200, 400, 800, 1_600, 2_000, 2_000].entries()) {
      await expect(acquire(pool, endpoint)).rejects.toMatchObject(failure);
      expect(pool.report(endpoint)).toMatchObject({
        connections: 0,
        failures: failures + 1,
        lastError: "ECONNREFUSED",
      });
      clock.advance(longestMs / 2 - 1);
      // Told without a connection.
      pool.acquire(endpoint, (connection, error) =>
        expect([connection, error]).toEqual([undefined, expect.objectContaining(failure)]),
      );
      expect(pool.report(endpoint).connections).toBe(0);
      clock.advance(longestMs / 2 + 1);
    }
  });

  it("is tried at once when it was reached in another way", async () => {
    const clock = new SimClock();
    const endpoint = await closedEndpoint();
    const pool = createPool(clock);
    await acquire(pool, endpoint).catch(() => undefined);
    pool.noteReachable(endpoint);
    const asked = acquire(pool, endpoint);
    expect(pool.report(endpoint)).toMatchObject({ connections: 1, pending: 1 });
    await expect(asked).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("is as any other once a connection stands", async () => {
    const clock = new SimClock();
    const port = await openRawPort((socket) => socket.destroy());
    closers.push(port.close);
    const pool = createPool(clock);
    await expect(acquire(pool, port.endpoint)).rejects.toThrow();
    expect(pool.report(port.endpoint).failures).toBe(1);
    const number = Number(port.endpoint.split(":")[1]);
    await port.close();
    const node = await Http2Node.open((stream) => stream.respond({ ":status": 200 }), {}, number);
    closers.push(() => node.close());
    clock.advance(100);
    await acquire(pool, port.endpoint);
    expect(pool.report(port.endpoint)).toMatchObject({ connections: 1, failures: 0, lastError: "" });
  });

  it("is remembered only as one of a bounded number", () => {
    const pool = createPool();
    const wrong = (index: number): string => `no address ${index}`;
    for (let index = 0; index <= ENDPOINTS_MAX; index++) pool.acquire(wrong(index), () => undefined);
    expect(pool.report(wrong(0)).failures).toBe(0);
    expect([pool.report(wrong(1)), pool.report(wrong(ENDPOINTS_MAX))].map(({ failures }) => failures)).toEqual([1, 1]);
  });
});
