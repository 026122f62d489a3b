import type { ServerHttp2Stream } from "node:http2";
import { connect, type Socket } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { seededRng } from "@drover/platform";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Clock, runtimeClock } from "../clock.ts";
import type { ConnectOptions } from "../connect-options.ts";
import {
  answerServing,
  answerStatus,
  closedUrl,
  type Http2Router,
  openHttp2Router,
  openRawPort,
  sendServing,
} from "../testing/http2-router.ts";
import { CONNECTION_LIMITS, type ConnectionLimits } from "./http2-connection.ts";
import { openNodeTransport } from "./node-transport.ts";

/** Empty; and GOAWAY with last stream 0 (RFC 9113, 6.5 and 6.8). */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const goAwayOfAll = (code: number) => Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code]);
const CANCEL = 8;
const REFUSED_STREAM = 7;

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

function keep<Closable extends { close(): unknown }>(each: Closable): Closable {
  opened.push(each);
  return each;
}

function clientOf(options: ConnectOptions, limits: Partial<ConnectionLimits> = {}) {
  const { transport } = keep(
    openNodeTransport(options, { rng: seededRng(1), limits: { ...CONNECTION_LIMITS, ...limits } }),
  );
  return createClient(Health, transport);
}

async function router(...[handler, options, port]: Parameters<typeof openHttp2Router>): Promise<Http2Router> {
  return keep(await openHttp2Router(handler, options, port));
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const error: unknown = await call.then(
    () => expect.fail("it did not fail"),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

const reasonOf = (error: ConnectError): string | undefined => error.findDetails(ErrorInfoSchema)[0]?.reason;

/** The order of a client is drawn: both are tried in both orders over a few clients. */
async function fromEach(urls: readonly string[], call: (client: ReturnType<typeof clientOf>) => Promise<unknown>) {
  for (const address of [urls, [...urls].reverse()]) await call(clientOf({ address }));
}

describe("a call to one router", () => {
  it("is gRPC over one HTTP/2 connection, without an offer to take compressed answers", async () => {
    const { url, sessions, calls } = await router();
    const client = clientOf({ address: url.replace("http://", "") });
    await Promise.all(Array.from({ length: 20 }, () => client.check({})));
    await client.check({});
    expect(sessions).toHaveLength(1);
    expect(calls).toHaveLength(21);
    expect(calls[0]?.["content-type"]).toBe("application/grpc+proto");
    expect(calls[0]?.["grpc-accept-encoding"]).toBeUndefined();
  });

  it("does not open more streams on a new connection than the router takes", async () => {
    let open = 0;
    let most = 0;
    const slowly = (stream: ServerHttp2Stream): void => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        answerServing(stream);
      }, 5);
    };
    const { url, sessions } = await router(slowly, { settings: { maxConcurrentStreams: 2 } });
    const client = clientOf({ address: url });
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.check({})));
    expect(answers).toHaveLength(30);
    expect(sessions).toHaveLength(4);
    expect(most).toBeLessThanOrEqual(8);
  });

  it("fails as unreachable, with what to do, where nobody listens", async () => {
    const url = await closedUrl();
    const error = await failure(clientOf({ address: url }).check({}));
    expect([error.code, reasonOf(error)]).toEqual([Code.Unavailable, "ROUTER_UNREACHABLE"]);
    expect(error.rawMessage).toBe(
      `The router could not be reached: ${url}: connection refused (is drover-router running there?).`,
    );
  });

  it("fails as unreachable where its host name does not resolve", async () => {
    const error = await failure(clientOf({ address: "nowhere.invalid:50051" }).check({}));
    expect(error.rawMessage).toMatch(
      /^The router could not be reached: http:\/\/nowhere.invalid:50051: its host name /,
    );
  });

  it.each([
    ["never says a word", () => undefined, /did not answer in time/],
    [
      "speaks HTTP/1.1",
      (socket: { end(text: string): void }) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
      /HTTP\/2/,
    ],
    ["closes at once", (socket: { destroy(): void }) => socket.destroy(), /before a word of HTTP\/2|reset/],
  ])("fails as unreachable, within the connect timeout, where the other side %s", async (_, onConnection, words) => {
    const { url } = keep(await openRawPort(onConnection));
    const error = await failure(clientOf({ address: url }, { connectTimeoutMs: 800 }).check({}));
    expect(reasonOf(error)).toBe("ROUTER_UNREACHABLE");
    expect(error.rawMessage).toMatch(words);
  });

  it("says so when what answers is no gRPC", async () => {
    const { url } = await router((stream) => {
      stream.respond({ ":status": 404, "content-type": "text/html" });
      stream.end("<h1>");
    });
    const error = await failure(clientOf({ address: url }).check({}));
    expect(reasonOf(error)).toBe("PROTOCOL_ERROR");
    expect(error.rawMessage).toMatch(/answered HTTP 404 instead of gRPC: is another program listening there/);
  });

  it("goes over a new connection after the router's GOAWAY, while the old one's streams end by themselves", async () => {
    const streams: ServerHttp2Stream[] = [];
    const { url, sessions } = await router((stream) => {
      streams.push(stream);
      sendServing(stream);
    });
    const client = clientOf({ address: url });
    const watch = client.watch({})[Symbol.asyncIterator]();
    await watch.next();
    sessions[0]?.close();
    await vi.waitFor(async () => {
      const other = client.watch({})[Symbol.asyncIterator]();
      await other.next();
      expect(sessions).toHaveLength(2);
    });
    for (const stream of streams) stream.end();
    expect(await watch.next()).toMatchObject({ done: true });
  });
});

describe("a call that provably never ran", () => {
  it("goes to the next router when the connection is refused", async () => {
    const dead = await closedUrl();
    const alive = await router();
    await fromEach([dead, alive.url], (client) => client.check({}));
    expect(alive.calls).toHaveLength(2);
  });

  it("goes to the next router when the stream is refused, streaming or not", async () => {
    const full = await router((stream) => stream.close(REFUSED_STREAM));
    const alive = await router();
    await fromEach([full.url, alive.url], async (client) => {
      await client.check({});
      for await (const _ of client.watch({}));
    });
    expect(alive.calls).toHaveLength(4);
    expect(full.calls.length).toBeGreaterThan(0);
  });

  it.each([
    ["in order", 0],
    ["with an error", 2],
  ])("goes to the next router when a GOAWAY %s leaves its stream out", async (_, code) => {
    // As a router that stops just when the request arrives: the last stream that it looked at is none.
    const leaving = keep(
      await openRawPort((socket) => {
        socket.write(SETTINGS);
        socket.on("data", (data) => {
          if (hasHeaders(data)) socket.write(goAwayOfAll(code));
        });
      }),
    );
    const alive = await router();
    await fromEach([leaving.url, alive.url], (client) => client.check({}));
    expect(leaving.sockets.size).toBeGreaterThan(0);
    expect(alive.calls).toHaveLength(2);
  });

  it("goes to each router once, and the error names all of them and why", async () => {
    const dead = await closedUrl();
    const full = await router((stream) => stream.close(REFUSED_STREAM));
    const error = await failure(clientOf({ address: [dead, full.url] }).check({}));
    expect(full.calls).toHaveLength(1);
    expect(reasonOf(error)).toBe("ROUTER_UNREACHABLE");
    expect(error.rawMessage).toContain("None of 2 routers took the call: ");
    expect(error.rawMessage).toContain(`${dead}: connection refused`);
    expect(error.rawMessage).toContain(`${full.url}: the router took no more streams`);
  });

  it("ends by the caller's deadline, not by the number of routers", async () => {
    const silent = await Promise.all([1, 2, 3].map(async () => keep(await openRawPort(() => undefined)).url));
    const startMs = performance.now();
    const error = await failure(clientOf({ address: silent }).check({}, { timeoutMs: 300 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });
});

describe("a call that may have run", () => {
  const oneGoodOneBad = async (onStream: (stream: ServerHttp2Stream) => void) => {
    const bad = await router(onStream);
    const good = await router();
    // The one order in which the bad one comes first.
    return { bad, good, error: await failureAt(bad, good) };
  };
  const failureAt = async (bad: Http2Router, good: Http2Router): Promise<ConnectError> => {
    for (let seed = 1; seed < 50; seed++) {
      const { transport } = keep(openNodeTransport({ address: [bad.url, good.url] }, { rng: seededRng(seed) }));
      const error: unknown = await createClient(Health, transport)
        .check({})
        .catch((thrown) => thrown);
      if (bad.calls.length > 0) return error as ConnectError;
    }
    return expect.fail("no client began with the bad router");
  };

  it.each([
    ["the connection breaks", (stream: ServerHttp2Stream) => stream.session?.destroy()],
    ["the socket dies", (stream: ServerHttp2Stream) => stream.session?.socket.destroy()],
    ["the stream is reset", (stream: ServerHttp2Stream) => stream.close(CANCEL)],
    [
      "the stream ends without a status",
      (stream: ServerHttp2Stream) =>
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { endStream: true }),
    ],
  ])("is told to the caller and goes nowhere else when %s", async (_, onStream) => {
    const { bad, good, error } = await oneGoodOneBad(onStream);
    const before = good.calls.length;
    expect([error.code, reasonOf(error)]).toEqual([Code.Unavailable, "CONNECTION_LOST"]);
    expect(error.rawMessage).toContain(bad.url);
    expect(error.rawMessage).toContain("The call may have run.");
    expect(error.cause).toBeInstanceOf(ConnectError);
    expect([bad.calls.length, good.calls.length]).toEqual([1, before]);
  });

  it("fails with the router's own words when it answers, also with UNAVAILABLE", async () => {
    const { error } = await oneGoodOneBad((stream) =>
      answerStatus(stream, { "grpc-status": "14", "grpc-message": "no node" }),
    );
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "no node"]);
  });

  it("fails as lost after its first message, although the stream was refused", async () => {
    const half = await router((stream) => {
      sendServing(stream);
      setTimeout(() => stream.close(REFUSED_STREAM), 20);
    });
    const alive = await router();
    const messages: unknown[] = [];
    const stream = clientOf({ address: half.url }).watch({});
    const reading = async (): Promise<void> => {
      for await (const message of stream) messages.push(message);
    };
    expect(reasonOf(await failure(reading()))).toBe("CONNECTION_LOST");
    expect([messages.length, alive.calls.length]).toEqual([1, 0]);
  });

  it("is not tried elsewhere after the caller cancelled it, and the router hears of it", async () => {
    const closed = Promise.withResolvers<number>();
    const silent = await router((stream) => stream.once("close", () => closed.resolve(stream.rstCode)));
    const left = new AbortController();
    const call = failure(clientOf({ address: [silent.url, silent.url] }).check({}, { signal: left.signal }));
    await vi.waitUntil(() => silent.calls.length === 1);
    left.abort();
    expect((await call).code).toBe(Code.Canceled);
    expect(await closed.promise).toBe(CANCEL);
  });
});

/** Whether a HEADERS frame is in it, after the preface where it begins with that. */
function hasHeaders(data: Buffer): boolean {
  for (let at = data.toString("latin1", 0, 3) === "PRI" ? 24 : 0; at < data.length; at += 9 + data.readUIntBE(at, 3)) {
    if (data[at + 3] === 1) return true;
  }
  return false;
}

/** A TCP way to a router; once it is cut, its connections neither carry nor end, as with a machine that lost power. */
async function openWay(url: string) {
  const { hostname, port } = new URL(url);
  const ends: Socket[] = [];
  const way = await openRawPort((socket) => {
    const onward = connect(Number(port), hostname);
    onward.on("error", () => undefined);
    socket.pipe(onward).pipe(socket);
    ends.push(socket, onward);
  });
  return {
    ...way,
    cut: () => {
      for (const end of ends) end.unpipe().pause();
    },
    close: (): Promise<void> => {
      for (const end of ends) end.destroy();
      return way.close();
    },
  };
}

const openSockets = (): number => process.getActiveResourcesInfo().filter((each) => each === "TCPSocketWrap").length;

/** The runtime's clock, counting the timers that are set. */
function countingClock() {
  const running = new Set<object>();
  const after: Clock["after"] = (delayMs, action) => {
    const timer = runtimeClock.after(delayMs, () => {
      running.delete(timer);
      action();
    });
    const counted = {
      cancel: () => {
        running.delete(timer);
        timer.cancel();
      },
      unref: () => timer.unref?.(),
    };
    running.add(timer);
    return counted;
  };
  return { nowMs: () => runtimeClock.nowMs(), after, running: () => running.size };
}

describe("a connection", () => {
  it("whose machine is gone is found out by PINGs while a call runs, and the next call gets a new one", async () => {
    const live = await router((stream) => sendServing(stream));
    const way = keep(await openWay(live.url));
    const client = clientOf({ address: way.url }, { pingIntervalMs: 100, pingTimeoutMs: 500 });
    const watch = client.watch({})[Symbol.asyncIterator]();
    await watch.next();
    way.cut();
    const error = await failure(watch.next());
    expect(reasonOf(error)).toBe("CONNECTION_LOST");
    expect(error.rawMessage).toContain("it did not answer in time");
    await client.watch({})[Symbol.asyncIterator]().next();
    expect(live.sessions).toHaveLength(2);
  });

  it("that was idle is asked for a sign of life before a call is sent on it, so that the call cannot be lost", async () => {
    const live = await router();
    const way = keep(await openWay(live.url));
    const client = clientOf({ address: way.url }, { pingIntervalMs: 50, verifyTimeoutMs: 400 });
    await client.check({});
    way.cut();
    await new Promise((resolve) => setTimeout(resolve, 120));
    await client.check({});
    expect([live.sessions.length, live.calls.length]).toEqual([2, 2]);
  });

  it("is closed when it was idle for long enough", async () => {
    const { url, sessions } = await router();
    await clientOf({ address: url }, { pingIntervalMs: 20, idleTimeoutMs: 60 }).check({});
    await vi.waitUntil(() => sessions[0]?.destroyed === true);
  });

  it("leaves no socket and no timer behind when the client is closed, one that was closing included", async () => {
    const clock = countingClock();
    const { url, sessions } = await router((stream) => sendServing(stream));
    const dead = await closedUrl();
    const before = openSockets();
    const opened = openNodeTransport({ address: [url, dead] }, { clock });
    const client = createClient(Health, opened.transport);
    const ended: Promise<unknown>[] = [];
    for (let count = 0; count < 3; count++) {
      const watch = client.watch({})[Symbol.asyncIterator]();
      await watch.next();
      ended.push(failure(watch.next()));
      sessions.at(-1)?.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(openSockets()).toBeGreaterThan(before);
    expect(clock.running()).toBeGreaterThan(0);
    opened.close();
    await Promise.all(ended);
    await vi.waitFor(() => expect([openSockets(), clock.running()]).toEqual([before, 0]));
  });

  it("that waits for its last stream is ended with the client, although its peer says nothing any more", async () => {
    const { url, sessions } = await router((stream) => sendServing(stream));
    const way = keep(await openWay(url));
    const opened = openNodeTransport({ address: way.url });
    const watch = createClient(Health, opened.transport).watch({})[Symbol.asyncIterator]();
    await watch.next();
    const rest = failure(watch.next());
    sessions[0]?.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    way.cut();
    const before = openSockets();
    opened.close();
    await rest;
    await vi.waitFor(() => expect(openSockets()).toBe(before - 1));
  });

  it("ends with the client, and so do the calls on it", async () => {
    const { url, sessions } = await router((stream) => sendServing(stream));
    const opened = openNodeTransport({ address: url });
    const client = createClient(Health, opened.transport);
    const watch = client.watch({})[Symbol.asyncIterator]();
    await watch.next();
    const rest = failure(watch.next());
    opened.close();
    opened.close();
    await rest;
    await vi.waitUntil(() => sessions[0]?.destroyed === true);
    expect((await failure(client.check({}))).rawMessage).toMatch(/client was closed/);
  });
});
