import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { ByteBudget, type DroverError, SimClock } from "@drover/platform";
import { afterEach, describe, expect, it } from "vitest";
import { framed } from "../../test/raw-call.ts";
import { REQUEST_BYTES_MAX, readRequest } from "./read-request.ts";

const KIB_64 = 64 * 1024;

class Harness {
  readonly clock = new SimClock();
  readonly bodies: ByteBudget;
  readonly stream = new PassThrough();
  constructor(limit = 1 << 30) {
    this.bodies = new ByteBudget(limit);
  }
  read(headers: IncomingHttpHeaders = {}) {
    return readRequest(this.stream as unknown as ServerHttp2Stream, headers, this);
  }
  async failure(headers: IncomingHttpHeaders = {}): Promise<DroverError> {
    return this.read(headers).then(
      () => expect.unreachable("it was read"),
      (error: unknown) => error as DroverError,
    );
  }
}

let last: Harness | undefined;
afterEach(() => {
  expect(last?.bodies.held).toBe(0);
  expect(last?.clock.pendingCount).toBe(0);
  last = undefined;
});

function harness(limit?: number): Harness {
  last = new Harness(limit);
  return last;
}

describe("reading a request", () => {
  it("gives the framed message as it came, counted until it is released", async () => {
    const h = harness();
    const message = framed(Buffer.from("hello"));
    for (const byte of message) h.stream.write(Buffer.from([byte]));
    h.stream.end();
    const body = await h.read();
    expect(Buffer.from(body.bytes)).toEqual(message);
    expect(h.bodies.held).toBe(message.length);
    body.release();
    body.release();
  });

  it("inflates gzip and frames it anew", async () => {
    const h = harness();
    h.stream.end(framed(gzipSync("hello".repeat(100)), 1));
    const body = await h.read({ "grpc-encoding": "gzip" });
    expect(Buffer.from(body.bytes)).toEqual(framed(Buffer.from("hello".repeat(100))));
    body.release();
  });

  it("takes a message that is not compressed although gzip was announced", async () => {
    const h = harness();
    h.stream.end(framed(Buffer.from("plain")));
    const body = await h.read({ "grpc-encoding": "gzip" });
    expect(Buffer.from(body.bytes)).toEqual(framed(Buffer.from("plain")));
    body.release();
  });

  it.each([
    ["no message", Buffer.alloc(0)],
    ["half a prefix", Buffer.from([0, 0])],
    ["half a message", framed(Buffer.from("hello")).subarray(0, 8)],
    ["two messages", Buffer.concat([framed(Buffer.from("a")), framed(Buffer.from("b"))])],
    ["a compressed message without its encoding", framed(gzipSync("a"), 1)],
    ["an unknown flag", framed(Buffer.from("a"), 2)],
  ])("refuses %s", async (_, bytes) => {
    const h = harness();
    h.stream.end(bytes);
    expect((await h.failure()).kind).toBe("malformed_request");
  });

  it("refuses broken gzip and an encoding that it does not know", async () => {
    const h = harness();
    h.stream.end(framed(Buffer.from("not gzip"), 1));
    expect((await h.failure({ "grpc-encoding": "gzip" })).kind).toBe("malformed_request");
    expect((await h.failure({ "grpc-encoding": "br" })).kind).toBe("encoding_unsupported");
  });

  it("refuses more bytes than the limit without waiting for the end", async () => {
    const h = harness();
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(REQUEST_BYTES_MAX + 1, 1);
    h.stream.write(prefix);
    const failure = h.failure();
    for (let sent = 0; sent <= REQUEST_BYTES_MAX; sent += KIB_64) {
      if (!h.stream.write(Buffer.alloc(KIB_64))) await new Promise((resolve) => h.stream.once("drain", resolve));
    }
    expect((await failure).kind).toBe("request_too_large");
  });

  it("refuses what is over the limit only after gzip", async () => {
    const h = harness();
    h.stream.end(framed(gzipSync(Buffer.alloc(REQUEST_BYTES_MAX + 1)), 1));
    expect((await h.failure({ "grpc-encoding": "gzip" })).kind).toBe("request_too_large");
  });

  it("refuses with a pushback when all bodies together would hold too much", async () => {
    const h = harness(100);
    h.stream.end(framed(Buffer.alloc(200)));
    const failure = await h.failure();
    expect([failure.kind, failure.retryAfterMs]).toEqual(["wait_exceeded", 1_000]);
  });

  it("gives a caller up that sends nothing for 30 s, and not one that is slow", async () => {
    const h = harness();
    const failure = h.failure();
    for (let second = 0; second < 100; second += 20) {
      h.stream.write(Buffer.from([0]));
      await h.clock.advanceAsync(20_000);
    }
    expect(h.bodies.held).toBe(5);
    await h.clock.advanceAsync(30_000);
    expect((await failure).message).toBe("The request broke off: after 5 bytes nothing came for 30 s.");
    h.stream.destroy();
    await h.clock.advanceAsync(0);
  });

  it("ends as cancelled when the caller leaves in the middle", async () => {
    const h = harness();
    h.stream.write(Buffer.from([0]));
    const failure = h.failure();
    h.stream.destroy();
    expect((await failure).kind).toBe("cancelled");
  });
});
