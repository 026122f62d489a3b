import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { ByteBudget, type DroverError, REQUEST_BYTES_MAX, SimClock } from "@drover/platform";
import { afterEach, describe, expect, it } from "vitest";
import { framed } from "../../test/raw-call.ts";
import { readRequest } from "./read-request.ts";

const KIB_64 = 64 * 1024;

class Harness {
  readonly clock = new SimClock();
  readonly bodies: ByteBudget;
  readonly stream = new PassThrough();
  constructor(limit = 1 << 30) {
    this.bodies = new ByteBudget(limit);
  }
  read(headers: IncomingHttpHeaders = {}, timeoutMs?: number) {
    const { clock, bodies } = this;
    return readRequest(this.stream as unknown as ServerHttp2Stream, headers, { clock, bodies, timeoutMs });
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
    expect(h.bodies.held).toBeGreaterThanOrEqual(message.length);
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

  it("tells bare JSON that its prefix is missing, not that it is too long", async () => {
    const h = harness();
    h.stream.end(Buffer.from('{"model":"m"}'));
    const { kind, message } = await h.failure();
    expect(kind).toBe("malformed_request");
    expect(message).toContain("does not begin with the 5 bytes");
    expect(message).toContain("bare JSON");
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
    expect([failure.kind, failure.retryAfterMs]).toEqual(["overloaded", 1_000]);
  });

  it("gives a caller up that sends less than 64 bytes a millisecond for 30 s, and not one that keeps that pace", async () => {
    const h = harness();
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(16 * 1024 * 1024, 1);
    h.stream.write(prefix);
    const failure = h.failure();
    // Ten seconds of bytes every ten seconds, for a minute.
    for (let round = 0; round < 6; round++) {
      h.stream.write(Buffer.alloc(640_000));
      await h.clock.advanceAsync(10_000);
    }
    expect(h.bodies.held).toBeGreaterThan(0);
    // From here on a byte now and then.
    for (let round = 0; round < 4; round++) {
      h.stream.write(Buffer.from([0]));
      await h.clock.advanceAsync(10_000);
    }
    const { kind, message } = await failure;
    expect(kind).toBe("malformed_request");
    expect(message).toMatch(/^The request was not complete after 90 s: 38400\d\d bytes came\.$/);
    h.stream.destroy();
    await h.clock.advanceAsync(0);
  });

  it("ends when the caller's deadline passes while its request is still coming", async () => {
    const h = harness();
    h.stream.write(Buffer.from([0]));
    const failure = h.read({}, 1_000).catch((error: unknown) => error as DroverError);
    await h.clock.advanceAsync(1_000);
    expect(await failure).toMatchObject({ kind: "deadline_exceeded" });
    h.stream.destroy();
    await h.clock.advanceAsync(0);
  });

  it("holds little more than the body, in however many pieces it comes", async () => {
    const h = harness();
    const message = framed(Buffer.alloc(300_000));
    for (let at = 0; at < message.length; at += 3) h.stream.write(message.subarray(at, at + 3));
    h.stream.end();
    const body = await h.read();
    expect(h.bodies.held).toBe(message.length);
    body.release();
    expect(() => body.bytes).toThrow("after its release");
  });

  it("refuses a bomb when it has taken what there is, not after it has gone off", async () => {
    const h = harness(1024 * 1024);
    h.stream.end(framed(gzipSync(Buffer.alloc(32 * 1024 * 1024)), 1));
    expect((await h.failure({ "grpc-encoding": "gzip" })).kind).toBe("overloaded");
  });

  it("ends as cancelled when the caller leaves in the middle", async () => {
    const h = harness();
    h.stream.write(Buffer.from([0]));
    const failure = h.failure();
    h.stream.destroy();
    expect((await failure).kind).toBe("cancelled");
  });
});
