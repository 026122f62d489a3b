import { once } from "node:events";
import http from "node:http";
import http2, { type ClientHttp2Session } from "node:http2";
import type net from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { GenerateRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterEach, describe, expect, it } from "vitest";
import { ConfigError } from "../config-error.ts";
import { readGrpcStatus } from "../grpc-status.ts";
import { silentLogger } from "../log.ts";
import type { RelayRoute } from "./http-sides.ts";
import { connectRaw, frame, openTestListener, rawCall, type TestListener } from "./listener.fixture.ts";
import { openListener } from "./listener.ts";

const GENERATE = "/drover.inference.v1.InferenceService/Generate";
const EMBED = "/drover.inference.v1.InferenceService/Embed";

const opened: TestListener[] = [];
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const listener of opened.splice(0)) {
    listener.destroy();
    await listener.drain();
  }
});

async function open(options: Parameters<typeof openTestListener>[0] = {}): Promise<TestListener> {
  const listener = await openTestListener(options);
  opened.push(listener);
  return listener;
}

function connect(listener: TestListener): ClientHttp2Session {
  const session = http2.connect(listener.url);
  session.on("error", () => undefined);
  sessions.push(session);
  return session;
}

function request(model: string): Buffer {
  return frame(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model, prompt: "hi" })));
}

async function isServing(listener: TestListener): Promise<boolean> {
  const { trailers } = await rawCall(connect(listener), { ":path": GENERATE }, request("m"));
  return readGrpcStatus(trailers)?.code === 0;
}

function post(body: string, extra = ""): string {
  return `POST ${EMBED} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
}

const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

describe("one port for HTTP/2 and HTTP/1.1", () => {
  async function byteByByte(port: number, bytes: Buffer): Promise<{ received: () => string; socket: net.Socket }> {
    const { socket, received } = await connectRaw(port);
    socket.setNoDelay(true);
    for (const byte of bytes) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { received, socket };
  }

  it("understands HTTP/1.1 that comes byte by byte, although it starts with a P", async () => {
    const listener = await open();
    const { received, socket } = await byteByByte(
      listener.port,
      Buffer.from(post('{"model":"e"}', "Connection: close\r\n")),
    );
    await expect.poll(received).toMatch(/^HTTP\/1\.1 200 [\s\S]*\{"model":"e"\}$/);
    socket.destroy();
  });

  it("understands HTTP/2 that comes byte by byte", async () => {
    const listener = await open();
    const { received, socket } = await byteByByte(listener.port, PREFACE);
    // The fourth byte of a frame is its type: 4 is SETTINGS.
    await expect.poll(() => received().charCodeAt(3)).toBe(4);
    socket.destroy();
  });

  it.each([
    "\u0000\u0001\u0002 garbage\r\n\r\n",
    "PRX\r\n\r\n",
    "P\r\n\r\n",
    "\r\n\r\n \r\n\r\n",
    "\u0016\u0003\u0001\u0002\u0000\u0001 TLS hello",
  ])("answers the garbage %j with 400 and closes", async (garbage) => {
    const listener = await open();
    const { socket, received, closed } = await connectRaw(listener.port);
    socket.end(Buffer.from(garbage, "latin1"));
    await closed;
    expect(received()).toMatch(/^HTTP\/1\.1 400 |^$/);
    expect(await isServing(listener)).toBe(true);
  });

  it("closes what starts as HTTP/2 and goes on as something else", async () => {
    const listener = await open();
    const { socket, closed } = await connectRaw(listener.port);
    socket.write("PRI is not a method\r\n\r\n and goes on for long enough\r\n\r\n");
    await closed;
    expect(await isServing(listener)).toBe(true);
  });

  it("closes a silent connection, and one that stops in the middle of three letters", async () => {
    const listener = await open({ limits: { sniffTimeoutMs: 30 } });
    const silent = await connectRaw(listener.port);
    const halfway = await connectRaw(listener.port);
    halfway.socket.write("PR");
    await Promise.all([silent.closed, halfway.closed]);
    expect(silent.received() + halfway.received()).toBe("");
  });

  it("closes an HTTP/1.1 request whose head does not come", async () => {
    const listener = await open({ limits: { headersTimeoutMs: 50 } });
    const { socket, received, closed } = await connectRaw(listener.port);
    socket.write("POST / HTTP/1.1\r\nHost: loc");
    await closed;
    expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  });

  it.each(["", "P", "PR"])("outlives a reset and an end after %j", async (start) => {
    const listener = await open();
    for (const end of ["resetAndDestroy", "end"] as const) {
      const { socket, closed } = await connectRaw(listener.port);
      if (start !== "") socket.write(start);
      await new Promise((resolve) => setImmediate(resolve));
      socket[end]();
      await closed;
    }
    expect(await isServing(listener)).toBe(true);
  });

  it("answers pipelined requests in their order", async () => {
    const listener = await open();
    const { socket, received } = await connectRaw(listener.port);
    socket.write(
      post('{"model":"one"}') + post('{"model":"two"}') + post('{"model":"three"}', "Connection: close\r\n"),
    );
    await expect
      .poll(() => received().match(/\{.*?\}/g))
      .toEqual(['{"model":"one"}', '{"model":"two"}', '{"model":"three"}']);
  });

  it("takes no more connections than its limit, and serves again when one is gone", async () => {
    const listener = await open({ limits: { maxConnections: 2 } });
    const first = await connectRaw(listener.port);
    await connectRaw(listener.port).then(({ socket }) => sessions.push(socket as unknown as ClientHttp2Session));
    const third = await connectRaw(listener.port);
    await third.closed;
    first.socket.destroy();
    await expect.poll(() => isServing(listener)).toBe(true);
  });

  it("survives a session that is killed in the middle of a call", async () => {
    const listener = await open();
    const session = connect(listener);
    const stream = session.request({ ":method": "POST", ":path": GENERATE, "content-type": "application/grpc" });
    stream.on("error", () => undefined);
    stream.end(request("hangs"));
    await once(stream, "response");
    session.destroy();
    await expect.poll(() => listener.aborts).toEqual(["hangs"]);
    expect(await isServing(listener)).toBe(true);
  });

  it("does not end a call at once whose deadline is further away than timers reach", async () => {
    const listener = await open();
    for (const headers of [
      { "grpc-timeout": "720H" },
      { "content-type": "application/connect+proto", "connect-timeout-ms": "9999999999" },
    ]) {
      const stream = connect(listener).request({
        ":method": "POST",
        ":path": GENERATE,
        "content-type": "application/grpc",
        ...headers,
      });
      stream.end(request("gated"));
      await once(stream, "data");
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(listener.aborts).toEqual([]);
      stream.resume();
      listener.openGate();
      await once(stream, "close");
      listener.aborts.length = 0;
    }
  });

  it("ends a call whose answer HTTP/2 cannot carry, instead of leaving it open", async () => {
    const listener = await open();
    const answer = await rawCall(connect(listener), { ":path": GENERATE }, request("bad-header"));
    expect(answer.resetCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
  });

  it("tells callers how many streams it takes at once", async () => {
    const listener = await open({ limits: { maxConcurrentStreams: 2 } });
    const session = connect(listener);
    await once(session, "remoteSettings");
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
  });
});

describe("the relay", () => {
  const relay: RelayRoute = (headers) => {
    if (headers[":path"] === "/relay/throws") {
      return () => {
        throw new Error("relay failed");
      };
    }
    if (headers[":path"] === "/relay/route-throws") throw new Error("route failed");
    if (headers[":path"] !== "/relay/ok") return undefined;
    return (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () =>
        stream.sendTrailers({ "grpc-status": "0", seen: String(stream.listenerCount("wantTrailers")) }),
      );
      stream.resume();
      stream.end("relayed");
    };
  };

  it("gets its streams untouched, beside connect's on the same session", async () => {
    const listener = await open({ relay });
    const session = connect(listener);
    const [relayed, served] = await Promise.all([
      rawCall(session, { ":path": "/relay/ok" }, request("m")),
      rawCall(session, { ":path": GENERATE }, request("m")),
    ]);
    // One listener: the relay's own. A compatibility response would have added a second, which ends the process by sending twice.
    expect(relayed.trailers).toMatchObject({ "grpc-status": "0", seen: "1" });
    expect(relayed.body.toString()).toBe("relayed");
    expect(served.trailers).toMatchObject({ "grpc-status": "0" });
  });

  it("costs a relayed stream no compatibility objects", async () => {
    const symbolsOf = (stream: object): string[] =>
      Object.getOwnPropertySymbols(stream).map((symbol) => symbol.description ?? "");
    // What a compatibility stream carries, so that this test fails when Node renames it.
    const compat = http2.createServer((request) => expect(symbolsOf(request.stream)).toContain("response"));
    const relayed: string[][] = [];
    const listener = await open({
      relay: (headers) =>
        headers[":path"] !== "/relay"
          ? undefined
          : (stream, ...rest) => {
              relayed.push(symbolsOf(stream));
              compat.emit("stream", stream, ...rest);
              stream.respond({ ":status": 200 }, { endStream: true });
            },
    });
    await rawCall(connect(listener), { ":path": "/relay" });
    expect(relayed).toHaveLength(1);
    expect(relayed[0]).not.toContain("response");
    expect.assertions(3);
  });

  it.each(["/relay/throws", "/relay/route-throws"])("ends only the stream when it fails (%s)", async (path) => {
    const listener = await open({ relay });
    const session = connect(listener);
    const failed = await rawCall(session, { ":path": path });
    expect(failed.resetCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    expect((await rawCall(session, { ":path": "/relay/ok" })).body.toString()).toBe("relayed");
  });
});

describe("a call that the server ends first", () => {
  it.each(["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/drover.inference.v1.InferenceService/Embed"])(
    "is not reset while the caller may still end its side, and is closed when it does not (%s)",
    async (path) => {
      const listener = await open();
      const session = connect(listener);
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
      // A flag that nobody knows ends the call with an error, while the caller's side stays open.
      stream.write(Buffer.from([7, 0, 0, 0, 0]));
      let hasStatus = false;
      for (const event of ["response", "trailers"] as const)
        stream.on(event, (headers: http2.IncomingHttpHeaders) => {
          hasStatus ||= headers["grpc-status"] !== undefined;
        });
      stream.resume();
      await expect.poll(() => hasStatus, { timeout: 3_000 }).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(stream.closed).toBe(false);
      await expect.poll(() => stream.closed, { timeout: 3_000 }).toBe(true);
      expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
    },
  );
});

describe("an answer that is ready before its request was read", () => {
  it("waits for the end of a request that is on its way, which curl needs", async () => {
    const listener = await open();
    const headers = { "content-type": "application/connect+proto", "connect-timeout-ms": "soon" };
    const stream = connect(listener).request({
      ":method": "POST",
      ":path": "/drover.inference.v1.InferenceService/Generate",
      ...headers,
    });
    let isAnswered = false;
    stream.on("response", () => {
      isAnswered = true;
    });
    stream.resume();
    stream.write(Buffer.alloc(5));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(isAnswered).toBe(false);
    stream.end();
    await expect.poll(() => isAnswered).toBe(true);
  });
});

describe("drain", () => {
  it("finishes live streams, says goodbye to callers, and takes nothing new", async () => {
    const listener = await open();
    const session = connect(listener);
    const goodbyes: number[] = [];
    session.on("goaway", (code) => goodbyes.push(code));
    const stream = session.request({ ":method": "POST", ":path": GENERATE, "content-type": "application/grpc" });
    let trailers: unknown;
    stream.on("trailers", (received) => {
      trailers = received["grpc-status"];
    });
    stream.end(request("gated"));
    await once(stream, "data");
    let isDrained = false;
    const drained = listener.drain().then(() => {
      isDrained = true;
    });
    expect(listener.drain()).toBeInstanceOf(Promise);
    await expect.poll(() => goodbyes).toEqual([http2.constants.NGHTTP2_NO_ERROR]);
    await expect(connectRaw(listener.port)).rejects.toThrow(/ECONNREFUSED/);
    expect(isDrained).toBe(false);
    stream.resume();
    listener.openGate();
    await once(stream, "close");
    await drained;
    expect(trailers).toBe("0");
  });

  it("is not held by idle sessions, silent connections, or keep-alive", async () => {
    const listener = await open();
    const session = connect(listener);
    await rawCall(session, { ":path": GENERATE }, request("m"));
    const silent = await connectRaw(listener.port);
    const idle = await connectRaw(listener.port);
    idle.socket.write(post('{"model":"e"}'));
    await expect.poll(idle.received).toContain('{"model":"e"}');
    await listener.drain();
    await Promise.all([silent.closed, idle.closed]);
  });

  it("lets a running HTTP/1.1 call finish and then closes its connection at once", async () => {
    const listener = await open();
    const agent = new http.Agent({ keepAlive: true });
    const body = frame(Buffer.from('{"model":"gated","prompt":"hi"}'));
    const call = http.request(`${listener.url}${GENERATE}`, {
      method: "POST",
      agent,
      headers: { "content-type": "application/connect+json" },
    });
    call.end(body);
    const [response] = (await once(call, "response")) as [http.IncomingMessage];
    await once(response, "data");
    const drained = listener.drain();
    response.resume();
    listener.openGate();
    await once(response, "end");
    await drained;
    agent.destroy();
  });

  it("answers a keep-alive caller that asks on, and tells it to close", async () => {
    const listener = await open();
    const { socket, received, closed } = await connectRaw(listener.port);
    const body = frame(Buffer.from('{"model":"gated","prompt":"hi"}')).toString("latin1");
    const head = `POST ${GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\n`;
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, "latin1");
    await expect.poll(received).toContain('"hi"');
    const drained = listener.drain();
    socket.write(post('{"model":"second"}'));
    await expect.poll(() => listener.calls).toEqual(["gated"]);
    listener.openGate();
    await closed;
    expect(received()).toMatch(/HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*\{"model":"second"\}/);
    await drained;
  });

  it("ends everything at once when it is destroyed", async () => {
    const listener = await open();
    const session = connect(listener);
    const hanging = rawCall(session, { ":path": GENERATE }, request("hangs"));
    await expect.poll(() => listener.calls).toEqual(["hangs"]);
    const silent = await connectRaw(listener.port);
    const old = await connectRaw(listener.port);
    const body = frame(Buffer.from('{"model":"hangs","prompt":"hi"}')).toString("latin1");
    const head = `POST ${GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\n`;
    old.socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, "latin1");
    await expect.poll(() => listener.calls).toEqual(["hangs", "hangs"]);
    listener.destroy();
    await Promise.all([hanging, silent.closed, old.closed, listener.drain()]);
    await expect.poll(() => listener.aborts).toEqual(["hangs", "hangs"]);
    listener.destroy();
  });

  it("aborts handlers by the shutdown signal with its reason", async () => {
    const shutdown = new AbortController();
    const listener = await open({ shutdownSignal: shutdown.signal });
    const hanging = rawCall(connect(listener), { ":path": GENERATE }, request("hangs"));
    await expect.poll(() => listener.calls).toEqual(["hangs"]);
    shutdown.abort();
    await hanging;
    expect(listener.aborts).toEqual(["hangs"]);
  });
});

describe("opening", () => {
  const options = {
    isInsecureAllowed: false,
    allowHosts: [],
    corsOrigins: [],
    routes: () => undefined,
    log: silentLogger,
  };
  const clock = { nowMs: () => 0, wallMs: () => 0, after: () => ({ cancel: () => undefined }) };

  it.each([
    ["0.0.0.0:0", /^--listen 0\.0\.0\.0:0 can be reached from other machines.*--insecure/],
    ["[::]:0", /--insecure/],
    ["10.1.2.3:0", /--insecure/],
    ["not an address", /^--listen not an address: not an address; write it as 127\.0\.0\.1:50051\.$/],
    [":50051", /not an address/],
  ])("refuses %s in one sentence", async (listen, sentence) => {
    const opening = openListener({ ...options, listen, clock });
    await expect(opening).rejects.toThrow(ConfigError);
    await expect(opening).rejects.toThrow(sentence);
  });

  it("refuses a taken port and an address of another machine in one sentence", async () => {
    const listener = await open();
    await expect(openListener({ ...options, listen: listener.address, clock })).rejects.toThrow(
      /the port is taken by another program/,
    );
    const elsewhere = { ...options, isInsecureAllowed: true, clock };
    await expect(openListener({ ...elsewhere, listen: "192.0.2.1:0" })).rejects.toThrow(
      /this machine has no such address/,
    );
    await expect(openListener({ ...elsewhere, listen: "nowhere.invalid:0" })).rejects.toThrow(
      /--listen nowhere\.invalid:0: /,
    );
  });

  it("stands on all addresses when that is asked for, and tells the real one", async () => {
    const listener = await openListener({ ...options, listen: "0.0.0.0:0", isInsecureAllowed: true, clock });
    expect(listener.address).toMatch(/^0\.0\.0\.0:[1-9]\d*$/);
    await listener.drain();
    const local = await openListener({ ...options, listen: "localhost:0", clock });
    expect(local.address).toMatch(/^(127\.0\.0\.1|\[::1\]):[1-9]\d*$/);
    await local.drain();
  });
});
