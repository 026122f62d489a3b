import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { ByteBudget, createLogger, DroverError, noTelemetry, silentLogger, toGrpcTrailers } from "@drover/platform";
import { ChatRequestSchema, EmbedRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../../../routing/src/testing/dispatch-bench.ts";
import { chunkFrame, doneFrame, frame, progressFrame, unaryFrame } from "../../../routing/src/testing/frames.ts";
import { quiet, until } from "../../../routing/src/testing/recording-listener.ts";
import type { ScriptedAttempt } from "../../../routing/src/testing/scripted-transport.ts";
import { createTellRefused } from "../observe/refused-call.ts";
import { createRelay } from "./relay.ts";

const MODEL = "llama3.2:1b";
const CHAT = frame(toBinary(ChatRequestSchema, create(ChatRequestSchema, { model: MODEL })));
const EMBED = frame(toBinary(EmbedRequestSchema, create(EmbedRequestSchema, { model: MODEL, input: ["hello"] })));

let bench: DispatchBench;
let bodies: ByteBudget;
let lines: string[];
let server: http2.Http2Server;
let client: ClientHttp2Session;
let streams: ServerHttp2Stream[];

beforeEach(async () => {
  bench = new DispatchBench();
  bench.fake.discover("a", "b");
  for (const name of ["a", "b"]) {
    bench.fake.attach(name, {
      inventory: { models: [{ name: MODEL, capabilities: ["completion", "embedding"] }], isComplete: true },
    });
  }
  bodies = new ByteBudget(1 << 20);
  lines = [];
  streams = [];
  const log = createLogger({ name: "test", level: "debug", destination: { write: (line) => lines.push(line) } });
  const tellRefused = createTellRefused(log, noTelemetry);
  const relay = createRelay({
    clock: bench.clock,
    dispatcher: bench.dispatcher,
    bodies,
    tellRefused,
    maxWaitMs: 1_000,
  });
  server = http2.createServer();
  server.on("session", (session) => session.on("error", () => undefined));
  server.on("stream", (stream, headers, flags, raw) => {
    streams.push(stream);
    stream.on("error", () => undefined);
    relay(headers)?.(stream, headers, flags, raw);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on("error", () => undefined);
});

afterEach(async () => {
  client.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  expect(bench.leftovers).toEqual(NOTHING_LEFT);
  expect(bodies.held).toBe(0);
});

interface Answer {
  headers: IncomingHttpHeaders;
  isTrailersOnly: boolean;
  trailers: IncomingHttpHeaders | undefined;
  readonly data: Buffer[];
  isClosed: boolean;
}

interface OpenCall {
  readonly stream: ClientHttp2Stream;
  readonly answer: Answer;
}

function open(method: string, headers: OutgoingHttpHeaders = {}): OpenCall {
  const stream = client.request({
    ":method": "POST",
    ":path": `/drover.inference.v1.InferenceService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const answer: Answer = { headers: {}, isTrailersOnly: false, trailers: undefined, data: [], isClosed: false };
  stream.on("error", () => undefined);
  stream.on("response", (received, flags) => {
    answer.headers = received;
    answer.isTrailersOnly = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
  });
  stream.on("trailers", (received) => {
    answer.trailers = received;
  });
  stream.on("data", (chunk: Buffer) => answer.data.push(chunk));
  stream.on("close", () => {
    answer.isClosed = true;
  });
  return { stream, answer };
}

/** A call whose request is sent and whose attempt on a node has begun. */
async function begin(method = "Chat", body = CHAT, headers: OutgoingHttpHeaders = {}) {
  const made = bench.transport.attempts.length;
  const call = open(method, headers);
  call.stream.end(body);
  await until(() => bench.transport.attempts.length > made);
  return { ...call, attempt: bench.transport.last };
}

async function closed({ answer }: OpenCall): Promise<Answer> {
  await until(() => answer.isClosed);
  return answer;
}

function bytesOf(answer: Answer): Buffer {
  return Buffer.concat(answer.data);
}

describe("a relayed stream", () => {
  it("reaches the caller byte for byte, whatever the messages are and however they come", async () => {
    const message = fc.oneof(
      fc.string({ maxLength: 200 }).map((text) => chunkFrame(text.slice(0, 100))),
      fc.constant(progressFrame("p")),
      fc.uint8Array({ minLength: 1, maxLength: 40_000 }).map((body) => frame(Uint8Array.from([0x12, ...body]))),
    );
    const pieces = fc.array(fc.array(message, { minLength: 1, maxLength: 4 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(pieces, async (batches) => {
        const { attempt, ...call } = await begin();
        for (const batch of batches) attempt.sends(...batch);
        attempt.sends(doneFrame());
        attempt.ok();
        const answer = await closed(call);
        expect(bytesOf(answer).equals(Buffer.concat([...batches.flat(), doneFrame()]))).toBe(true);
        expect(answer.trailers).toMatchObject({ "grpc-status": "0" });
      }),
      { numRuns: 40 },
    );
  });

  it("passes the request on as it came, and gives its bytes back at the commit", async () => {
    const { attempt, ...call } = await begin("Chat", CHAT, { "x-own": "1", "trace-bin": "AAEC" });
    expect(Buffer.from(attempt.request.body)).toEqual(CHAT);
    expect(attempt.request.headers).toMatchObject({ "x-own": "1", "trace-bin": "AAEC" });
    expect(bodies.held).toBeGreaterThanOrEqual(CHAT.length);
    attempt.chunk();
    expect(bodies.held).toBe(0);
    attempt.done();
    attempt.ok();
    await closed(call);
  });

  it("has headers with the call's id before the first message, and its account in the trailers", async () => {
    const { attempt, ...call } = await begin();
    await quiet(5);
    expect(call.answer.headers).toEqual({});
    attempt.chunk();
    await until(() => call.answer.data.length > 0);
    const id = call.answer.headers["drover-call"];
    expect(call.answer.headers).toMatchObject({ ":status": 200, "content-type": "application/grpc+proto" });
    attempt.done();
    attempt.ok();
    expect((await closed(call)).trailers).toMatchObject({
      "grpc-status": "0",
      "drover-call": id,
      "drover-node": attempt.request.endpoint,
      "drover-attempts": "1",
    });
  });

  it("that breaks ends with a status in the trailers, never with a reset", async () => {
    const { attempt, ...call } = await begin();
    attempt.chunk("x");
    attempt.breaks();
    const answer = await closed(call);
    expect(bytesOf(answer)).toEqual(chunkFrame("x"));
    expect(answer.trailers).toMatchObject({ "grpc-status": "14" });
    expect(answer.isTrailersOnly).toBe(false);
    expect(call.stream.rstCode).toBe(0);
  });
});

describe("a relayed unary call", () => {
  it("is one message and OK", async () => {
    const { attempt, ...call } = await begin("Embed", EMBED);
    attempt.unaryAnswer("v");
    await quiet(5);
    expect(call.answer.headers).toEqual({});
    attempt.ok();
    const answer = await closed(call);
    expect(bytesOf(answer)).toEqual(unaryFrame("v"));
    expect(answer.trailers).toMatchObject({ "grpc-status": "0" });
  });
});

describe("a failure before the first message", () => {
  it("is one HEADERS frame that ends the stream", async () => {
    const { attempt, ...call } = await begin();
    attempt.fails("request_rejected", "no: wrong “options”");
    const answer = await closed(call);
    expect(answer.isTrailersOnly).toBe(true);
    expect(answer.data).toEqual([]);
    expect(answer.headers).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": "3",
      "drover-attempts": "1",
    });
    expect(decodeURIComponent(String(answer.headers["grpc-message"]))).toContain("no: wrong “options”");
    expect(answer.headers["grpc-status-details-bin"]).toBeTruthy();
    expect(answer.headers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("reaches a caller that is still sending, and stops it", async () => {
    const call = open("Chat", { "grpc-encoding": "br" });
    call.stream.write(Buffer.alloc(100_000));
    const answer = await closed(call);
    expect(answer.isTrailersOnly).toBe(true);
    expect(answer.headers).toMatchObject({ "grpc-status": "12", "grpc-accept-encoding": "identity,gzip" });
    expect(call.stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });

  it("says that the request is no such message when it does not decode", async () => {
    const call = open("Chat");
    call.stream.end(frame([0xff, 0xff, 0xff]));
    const answer = await closed(call);
    expect(answer.headers).toMatchObject({ "grpc-status": "3" });
    expect(decodeURIComponent(String(answer.headers["grpc-message"]))).toContain("drover.inference.v1.ChatRequest");
    expect(lines.some((line) => line.includes('"call refused"') && line.includes("MALFORMED_REQUEST"))).toBe(true);
  });

  it("keeps all trailers together below what gRPC's C library takes, however long the words", async () => {
    const { attempt, ...call } = await begin();
    const facts = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`fact${index}`, "é".repeat(300)]));
    const error = new DroverError("request_rejected", "ü".repeat(5_000), { facts, retryAfterMs: 1_000 });
    attempt.ends({ kind: "answered", trailers: toGrpcTrailers(error) as Record<string, string> });
    const { headers } = await closed(call);
    const size = Object.entries(headers).reduce((sum, [key, value]) => sum + key.length + String(value).length + 32, 0);
    expect(size).toBeLessThan(6 * 1_024);
    expect(headers["grpc-status"]).toBe("3");
  });
});

describe("the name of a node", () => {
  it.each(["büro-1", "机器", "a\nb", "😀 node"])("like %j reaches the caller without harm", async (name) => {
    bench.fake.discover("odd");
    bench.fake.attach("odd", { name });
    for (const ending of ["ok", "fails"] as const) {
      const { attempt, ...call } = await begin();
      if (ending === "ok") {
        attempt.done();
        attempt.ok();
      } else {
        attempt.fails("request_rejected");
      }
      const { headers, trailers } = await closed(call);
      const last = trailers ?? headers;
      expect(last["grpc-status"]).toBe(ending === "ok" ? "0" : "3");
      expect(decodeURIComponent(String(last["drover-node"]))).toBe(name);
    }
  });
});

describe("a caller that stops reading", () => {
  it("is reset after 30 s: trailers would wait behind what it does not read", async () => {
    const { attempt, stream } = await begin();
    stream.pause();
    for (let sent = 0; sent < 50; sent++)
      attempt.sends(frame(Buffer.concat([Buffer.from([0x12]), Buffer.alloc(20_000)])));
    await until(() => attempt.isPaused);
    bench.clock.advance(30_000);
    await until(() => stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(attempt.isCancelled).toBe(true);
  });
});

describe("a caller that leaves", () => {
  it.each([
    ["in the middle of its request", CHAT.subarray(0, 6)],
    ["between its message and its end", CHAT],
  ])("%s made no mistake, and its bytes are given back", async (_when, bytes) => {
    const call = open("Chat");
    call.stream.write(bytes);
    await until(() => bodies.held > 0);
    // Not by close(): Node's client would end the request in good order first.
    client.destroy();
    await until(() => lines.length > 0);
    expect(lines).toEqual([expect.stringContaining('"reason":"CANCELLED"')]);
    expect(bench.transport.attempts).toEqual([]);
    expect(bodies.held).toBe(0);
  });

  it.each([
    ["before the first token", () => undefined],
    ["after progress", (attempt: ScriptedAttempt) => attempt.progress()],
    ["after the first token", (attempt: ScriptedAttempt) => attempt.chunk()],
  ])("%s stops the node", async (_when, reach) => {
    const { attempt, ...call } = await begin();
    reach(attempt);
    call.stream.close(constants.NGHTTP2_CANCEL);
    await until(() => attempt.isCancelled);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("by losing its connection stops all its calls", async () => {
    const calls = [await begin(), await begin(), await begin()];
    calls[1]?.attempt.chunk();
    client.destroy();
    await until(() => calls.every(({ attempt }) => attempt.isCancelled));
  });

  it("while the node ends the call harms nothing", async () => {
    const { attempt, ...call } = await begin();
    attempt.chunk();
    await until(() => call.answer.data.length > 0);
    call.stream.close(constants.NGHTTP2_CANCEL);
    attempt.done();
    attempt.ok();
    await closed(call);
    await until(() => streams.every((stream) => stream.closed));
  });
});

describe("a caller that reads slowly", () => {
  it("pauses the node and lets it go on, and gets every byte", async () => {
    const { attempt, ...call } = await begin();
    call.stream.pause();
    const piece = frame(Buffer.alloc(64_000, 0x12));
    let sent = 0;
    while (!attempt.isPaused) {
      attempt.sends(piece);
      sent++;
      if (sent > 1_000) throw new Error("it is never paused");
      await quiet(1);
    }
    await quiet();
    expect(attempt.isPaused).toBe(true);
    call.stream.resume();
    await until(() => !attempt.isPaused);
    attempt.done();
    attempt.ok();
    const answer = await closed(call);
    expect(bytesOf(answer).length).toBe(sent * piece.length + doneFrame().length);
    expect(answer.trailers).toMatchObject({ "grpc-status": "0" });
  });
});

describe("what the relay takes", () => {
  const relay = () =>
    createRelay({
      clock: bench.clock,
      dispatcher: bench.dispatcher,
      bodies,
      tellRefused: createTellRefused(silentLogger, noTelemetry),
      maxWaitMs: 1_000,
    });
  const path = (method: string) => ({ ":path": `/drover.inference.v1.InferenceService/${method}` });

  it.each(["Generate", "Chat", "Embed"])("is gRPC of %s", (method) => {
    for (const type of ["application/grpc", "application/grpc+proto"]) {
      expect(relay()({ ...path(method), "content-type": type })).toBeTypeOf("function");
    }
  });

  it.each([
    ["gRPC with JSON", { ...path("Chat"), "content-type": "application/grpc+json" }],
    ["gRPC-Web", { ...path("Chat"), "content-type": "application/grpc-web+proto" }],
    ["Connect", { ...path("Chat"), "content-type": "application/connect+proto" }],
    ["no content type", path("Chat")],
    ["a method that does not exist", { ...path("Sing"), "content-type": "application/grpc" }],
    ["another service", { ":path": "/grpc.health.v1.Health/Check", "content-type": "application/grpc" }],
  ])("is not %s", (_what, headers) => {
    expect(relay()(headers)).toBeUndefined();
  });
});
