import http2, { type ClientHttp2Session } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { EmbedRequestSchema, GenerateRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterEach, describe, expect, it } from "vitest";
import { ByteBudget } from "../byte-budget.ts";
import { readGrpcStatus } from "../grpc-status.ts";
import { SimClock } from "../sim-clock.ts";
import { frame, openTestListener, type RawAnswer, rawCall, type TestListener } from "./listener.fixture.ts";

const GENERATE = "/drover.inference.v1.InferenceService/Generate";
const EMBED = "/drover.inference.v1.InferenceService/Embed";
const MIB = 1024 * 1024;

class WatchedBudget extends ByteBudget {
  peak = 0;
  override tryTake(bytes: number): boolean {
    const isTaken = super.tryTake(bytes);
    this.peak = Math.max(this.peak, this.held);
    return isTaken;
  }
}

interface Outcome {
  readonly code: number | undefined;
  readonly message: string;
  readonly reason: string | undefined;
  readonly callId: string | undefined;
}

/** How each protocol sends one compressed message, and says how a call ended. */
interface Wire {
  readonly name: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly encodingHeader: string;
  readonly acceptEncodingHeader: string;
  readonly isFramed: boolean;
  readonly outcome: (answer: RawAnswer) => Outcome;
}

const REASON = /[A-Z]{5,}(_[A-Z]+)*/;

function grpcOutcome({ headers, trailers }: RawAnswer): Outcome {
  const fields = headers["grpc-status"] === undefined ? trailers : headers;
  const details = Buffer.from(String(fields["grpc-status-details-bin"] ?? ""), "base64").toString("latin1");
  const { code, message = "" } = readGrpcStatus(fields) ?? {};
  return { code, message, reason: REASON.exec(details)?.[0], callId: fields["drover-call"]?.toString() };
}

function webOutcome({ body, headers }: RawAnswer): Outcome {
  const lines = lastFrame(body).trim().split("\r\n");
  const fields = Object.fromEntries(
    lines.map((line) => [line.split(":")[0], line.slice(line.indexOf(":") + 1).trim()]),
  );
  return grpcOutcome({ headers: { ...headers, ...fields }, isTrailersOnly: false, trailers: {}, body, resetCode: 0 });
}

function jsonOutcome(json: string, headers: RawAnswer["headers"]): Outcome {
  const parsed = JSON.parse(json === "" ? "{}" : json);
  const error = parsed.error ?? (parsed.code === undefined ? undefined : parsed);
  const callId = headers["drover-call"]?.toString() ?? parsed.metadata?.["drover-call"]?.[0];
  if (error === undefined) return { code: 0, message: "", reason: undefined, callId };
  const details = (error.details ?? []).map(({ value }: { value: string }) =>
    Buffer.from(value, "base64").toString("latin1"),
  );
  const reason = REASON.exec(details.join(" "))?.[0];
  return { code: codeFromString(error.code), message: error.message ?? "", reason, callId };
}

function lastFrame(body: Buffer): string {
  let at = 0;
  while (at + 5 + body.readUInt32BE(at + 1) < body.length) at += 5 + body.readUInt32BE(at + 1);
  return body.subarray(at + 5).toString();
}

const WIRES: Wire[] = [
  {
    name: "gRPC",
    path: GENERATE,
    headers: { "content-type": "application/grpc" },
    encodingHeader: "grpc-encoding",
    acceptEncodingHeader: "grpc-accept-encoding",
    isFramed: true,
    outcome: grpcOutcome,
  },
  {
    name: "gRPC-Web",
    path: GENERATE,
    headers: { "content-type": "application/grpc-web+proto" },
    encodingHeader: "grpc-encoding",
    acceptEncodingHeader: "grpc-accept-encoding",
    isFramed: true,
    outcome: webOutcome,
  },
  {
    name: "Connect streaming",
    path: GENERATE,
    headers: { "content-type": "application/connect+proto" },
    encodingHeader: "connect-content-encoding",
    acceptEncodingHeader: "connect-accept-encoding",
    isFramed: true,
    outcome: ({ body, headers }) => jsonOutcome(lastFrame(body), headers),
  },
  {
    name: "Connect unary",
    path: EMBED,
    headers: { "content-type": "application/proto" },
    encodingHeader: "content-encoding",
    acceptEncodingHeader: "accept-encoding",
    isFramed: false,
    outcome: ({ body, headers }) =>
      Number(headers[":status"]) === 200 ? jsonOutcome("", headers) : jsonOutcome(body.toString(), headers),
  },
];

const listeners: TestListener[] = [];
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const listener of listeners.splice(0)) {
    listener.destroy();
    await listener.drain();
  }
});

async function open(options: Parameters<typeof openTestListener>[0]) {
  const listener = await openTestListener(options);
  const session = http2.connect(listener.url);
  session.on("error", () => undefined);
  listeners.push(listener);
  sessions.push(session);
  return { listener, session };
}

function messageOf(wire: Wire, prompt: string): Uint8Array {
  return wire.path === EMBED
    ? toBinary(EmbedRequestSchema, create(EmbedRequestSchema, { model: "m", input: [prompt] }))
    : toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model: "m", prompt }));
}

function gzipped(wire: Wire, message: Uint8Array): Buffer {
  return wire.isFramed ? frame(gzipSync(message), 1) : gzipSync(message);
}

describe.each(WIRES)("a compressed request over $name", (wire) => {
  async function call(
    session: ClientHttp2Session,
    body: Uint8Array,
    { encoding = "gzip", more = {} }: { encoding?: string; more?: Record<string, string> } = {},
  ): Promise<Outcome & { answer: RawAnswer }> {
    const headers = { ":path": wire.path, ...wire.headers, ...more };
    const answer = await rawCall(
      session,
      encoding === "" ? headers : { ...headers, [wire.encodingHeader]: encoding },
      body,
    );
    return { ...wire.outcome(answer), answer };
  }

  it("is served, and gives back what it took", async () => {
    const requestBodies = new WatchedBudget(MIB);
    const { session, listener } = await open({ requestBodies });
    expect(await call(session, gzipped(wire, messageOf(wire, "x".repeat(100_000))))).toMatchObject({ code: 0 });
    if (wire.path === GENERATE) expect(listener.calls).toEqual(["m"]);
    expect(requestBodies.peak).toBeGreaterThan(100_000);
    await expect.poll(() => requestBodies.held).toBe(0);
  });

  it("that inflates over the limit is refused, however small it came", async () => {
    const requestBodies = new WatchedBudget(64 * MIB);
    const { session } = await open({ requestBodies, limits: { readMaxBytes: 8 * MIB } });
    const outcome = await call(session, gzipped(wire, Buffer.alloc(8 * MIB + 1)));
    expect(outcome).toMatchObject({
      code: Code.ResourceExhausted,
      message: "The request is over 8 MiB: send smaller or fewer images.",
      reason: "REQUEST_TOO_LARGE",
      callId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    // While a block grows the old one is still there.
    expect(requestBodies.peak).toBeLessThan(9 * MIB);
    await expect.poll(() => requestBodies.held).toBe(0);
  });

  it("that is a bomb takes what room there is, counted as it grows, and no more", async () => {
    const requestBodies = new WatchedBudget(4 * MIB);
    const { session } = await open({ requestBodies });
    const bomb = gzipped(wire, Buffer.alloc(60 * MIB));
    const before = process.memoryUsage().arrayBuffers;
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => call(session, bomb)));
    expect(new Set(outcomes.map(({ code, reason }) => `${code} ${reason}`))).toEqual(
      new Set([`${Code.ResourceExhausted} OVERLOADED`]),
    );
    expect(requestBodies.peak).toBeLessThanOrEqual(4 * MIB);
    // Eight whole bombs would be 480 MiB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * MIB);
    await expect.poll(() => requestBodies.held).toBe(0);
  });

  it("is refused in an encoding that is not understood, with those that are", async () => {
    const { session } = await open({});
    const outcome = await call(session, gzipped(wire, messageOf(wire, "hi")), { encoding: "br" });
    expect(outcome).toMatchObject({
      code: Code.Unimplemented,
      message: 'Requests may be gzip or not compressed at all, not "br".',
      reason: "ENCODING_UNSUPPORTED",
    });
    expect(outcome.answer.headers[wire.acceptEncodingHeader]).toBe("identity,gzip");
  });

  it("is refused when it is no gzip, or does not say what it is", async () => {
    const { session } = await open({});
    const broken = wire.isFramed ? frame(Buffer.from("no gzip"), 1) : Buffer.from("no gzip");
    expect(await call(session, broken)).toMatchObject({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
    const unnamed = await call(session, gzipped(wire, messageOf(wire, "hi")), { encoding: "" });
    if (wire.isFramed) expect(unnamed).toMatchObject({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
    else expect(unnamed.code).not.toBe(0);
  });

  it("may also come in a million pieces: it holds its bytes, not the pieces", async () => {
    const requestBodies = new WatchedBudget(2 * MIB);
    const { session } = await open({ requestBodies });
    const stream = session.request({ ":method": "POST", ":path": wire.path, te: "trailers", ...wire.headers });
    const body = wire.isFramed ? frame(messageOf(wire, "x".repeat(3_000))) : messageOf(wire, "x".repeat(3_000));
    for (const byte of body) stream.write(Buffer.of(byte));
    stream.end();
    const status = await new Promise<unknown>((resolve) => {
      stream.once("response", (headers) => resolve(headers[":status"]));
    });
    stream.resume();
    expect(status).toBe(200);
    expect(requestBodies.peak).toBeLessThan(8_192);
    await expect.poll(() => requestBodies.held).toBe(0);
  });

  it("that stops coming ends by its deadline, or when it is too slow", async () => {
    const clock = new SimClock();
    const requestBodies = new WatchedBudget(MIB);
    const { session } = await open({ requestBodies, clock });
    const half = gzipped(wire, messageOf(wire, "hi")).subarray(0, -4);
    const unfinished = (more: Record<string, string>): Promise<Outcome> => {
      const headers = { ":method": "POST", ":path": wire.path, ...wire.headers, [wire.encodingHeader]: "gzip" };
      const stream = session.request({ ...headers, ...more });
      stream.on("error", () => undefined).write(half);
      return new Promise((resolve) => {
        let received: RawAnswer["headers"] = {};
        let trailers: RawAnswer["trailers"] = {};
        const chunks: Buffer[] = [];
        stream.on("response", (fields) => {
          received = fields;
        });
        stream.on("trailers", (fields) => {
          trailers = fields;
        });
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          const body = Buffer.concat(chunks);
          resolve(wire.outcome({ headers: received, trailers, body, isTrailersOnly: false, resetCode: 0 }));
        });
      });
    };
    const timeout: Record<string, string> = wire.name.startsWith("Connect")
      ? { "connect-timeout-ms": "20000" }
      : { "grpc-timeout": "20S" };
    const [late, slow] = [unfinished(timeout), unfinished({})];
    await expect.poll(() => requestBodies.held).toBeGreaterThan(half.length);
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.advance(20_000);
    expect(await late).toMatchObject({ code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED" });
    clock.advance(11_000);
    expect(await slow).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringMatching(/^The request was not complete after 3[01] s: \d+ bytes came\.$/),
    });
    await expect.poll(() => requestBodies.held).toBe(0);
  });
});
