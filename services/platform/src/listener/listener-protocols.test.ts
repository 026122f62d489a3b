import { once } from "node:events";
import http2, { type ClientHttp2Session } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { GenerateRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ByteBudget } from "../byte-budget.ts";
import { droverErrorFromGrpc, readGrpcStatus } from "../grpc-status.ts";
import { frame, openTestListener, type RawAnswer, rawCall, type TestListener } from "./listener.fixture.ts";

const GENERATE = "/drover.inference.v1.InferenceService/Generate";
const EMBED = "/drover.inference.v1.InferenceService/Embed";

let listener: TestListener;
let session: ClientHttp2Session;
beforeAll(async () => {
  listener = await openTestListener({ limits: { readMaxBytes: 100_000 } });
  session = http2.connect(listener.url);
});
afterAll(async () => {
  session.destroy();
  listener.destroy();
  await listener.drain();
});

function request(model: string, prompt = "hi"): Buffer {
  return frame(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model, prompt })));
}

function call(path: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<RawAnswer> {
  return rawCall(session, { ":path": path, ...headers }, body);
}

const transports: [string, () => Transport][] = [
  ["gRPC over HTTP/2", () => createGrpcTransport({ baseUrl: listener.url })],
  ["gRPC-Web over HTTP/2", () => createGrpcWebTransport({ baseUrl: listener.url, httpVersion: "2" })],
  ["gRPC-Web over HTTP/1.1", () => createGrpcWebTransport({ baseUrl: listener.url, httpVersion: "1.1" })],
  ["Connect over HTTP/2", () => createConnectTransport({ baseUrl: listener.url, httpVersion: "2" })],
  ["Connect over HTTP/1.1", () => createConnectTransport({ baseUrl: listener.url, httpVersion: "1.1" })],
  [
    "Connect with JSON",
    () => createConnectTransport({ baseUrl: listener.url, httpVersion: "1.1", useBinaryFormat: false }),
  ],
];

describe.each(transports)("%s", (_, transport) => {
  it("streams, answers a unary call, and brings errors with their reason", async () => {
    const client = createClient(InferenceService, transport());
    const texts: unknown[] = [];
    for await (const response of client.generate({ model: "m", prompt: "Grüße" })) texts.push(response.event.value);
    expect(texts).toMatchObject([{ response: "Grüße" }]);
    expect(await client.embed({ model: "e" })).toMatchObject({ model: "e" });
    const error = await drained(client.generate({ model: "fails" }));
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "No node is free." });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "NO_NODE_AVAILABLE", domain: "drover" }]);
    expect(await drained(client.generate({ model: "fails-late" }))).toMatchObject({
      code: Code.Unavailable,
      rawMessage: "Node a was lost.",
    });
  });

  it("tells the handler when the caller leaves", async () => {
    const client = createClient(InferenceService, transport());
    const controller = new AbortController();
    const before = listener.aborts.length;
    for await (const _response of client.generate({ model: "hangs" }, { signal: controller.signal })) {
      controller.abort();
      break;
    }
    await expect.poll(() => listener.aborts.length).toBeGreaterThan(before);
  });
});

async function drained(stream: AsyncIterable<unknown>): Promise<ConnectError> {
  try {
    for await (const _ of stream);
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call did not fail");
}

describe("plain HTTP", () => {
  it("answers Connect JSON by fetch", async () => {
    const response = await fetch(`${listener.url}${EMBED}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "e" }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ model: "e" });
  });
});

describe("grpc-js", () => {
  function call(
    model: string,
    options: grpc.ChannelOptions = {},
  ): Promise<{ messages: number; code: grpc.status; details: string; reason: unknown }> {
    const client = new grpc.Client(listener.address, grpc.credentials.createInsecure(), options);
    const identity = (bytes: Buffer): Buffer => bytes;
    const bytes = Buffer.from(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model, prompt: "hi" })));
    const stream = client.makeServerStreamRequest(GENERATE, identity, identity, bytes, new grpc.Metadata(), {});
    let messages = 0;
    return new Promise((resolve) => {
      stream.on("data", () => messages++);
      stream.on("error", () => undefined);
      stream.on("status", ({ code, details, metadata }) => {
        const trailers = Object.fromEntries(
          Object.entries(metadata.toHttp2Headers()).map(([key, value]) => [key, String(value)]),
        );
        resolve({ messages, code, details, reason: droverErrorFromGrpc(code as number, details, trailers)?.kind });
        client.close();
      });
    });
  }

  it("streams and sees errors", async () => {
    expect(await call("m")).toMatchObject({ messages: 1, code: grpc.status.OK });
    expect(await call("fails-late")).toMatchObject({
      messages: 1,
      code: grpc.status.UNAVAILABLE,
      details: "Node a was lost.",
    });
    expect(await call("fails")).toMatchObject({
      messages: 0,
      code: grpc.status.UNAVAILABLE,
      reason: "no_node_available",
    });
  });

  it("retries an error before the first message, because it is true Trailers-Only", async () => {
    const retryPolicy = {
      maxAttempts: 3,
      initialBackoff: "0.01s",
      maxBackoff: "0.01s",
      backoffMultiplier: 1,
      retryableStatusCodes: ["UNAVAILABLE"],
    };
    const config = JSON.stringify({ methodConfig: [{ name: [{}], retryPolicy }] });
    const before = listener.calls.length;
    expect(await call("fails", { "grpc.service_config": config })).toMatchObject({ code: grpc.status.UNAVAILABLE });
    expect(listener.calls.length - before).toBe(3);
  });
});

describe("gRPC on the wire", () => {
  function outcome({ headers, trailers, isTrailersOnly }: RawAnswer): unknown {
    const fields = isTrailersOnly ? headers : trailers;
    const status = readGrpcStatus(fields);
    const kind =
      status === undefined || status.code === 0 ? undefined : droverErrorFromGrpc(status.code, "", fields)?.kind;
    return { isTrailersOnly, code: status?.code, kind };
  }

  it("sends an error before the first message as Trailers-Only, later ones as trailers", async () => {
    const early = await call(GENERATE, request("fails"));
    expect(outcome(early)).toEqual({ isTrailersOnly: true, code: Code.Unavailable, kind: "no_node_available" });
    expect(early.headers).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-retry-pushback-ms": "5",
    });
    expect(early.headers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
    const late = await call(GENERATE, request("fails-late"));
    expect(outcome(late)).toEqual({ isTrailersOnly: false, code: Code.Unavailable, kind: "stream_broken" });
    expect(late.trailers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("hides a bug of ours behind the call's id", async () => {
    const { headers } = await call(GENERATE, request("bug"));
    expect(readGrpcStatus(headers)).toEqual({
      code: Code.Internal,
      message: `Drover failed on this call; its log says why. Call ${headers["drover-call"]}.`,
    });
  });

  it.each([
    [
      "a message that is no protobuf",
      () => call(GENERATE, frame(Buffer.from([0xff, 0xff, 0xff]))),
      Code.InvalidArgument,
      "malformed_request",
    ],
    ["no message at all", () => call(GENERATE, Buffer.alloc(0)), Code.InvalidArgument, "malformed_request"],
    [
      "two messages",
      () => call(GENERATE, Buffer.concat([request("m"), request("m")])),
      Code.InvalidArgument,
      "malformed_request",
    ],
    [
      "a message that is no protobuf, unary",
      () => call(EMBED, frame(Buffer.from([0xff, 0xff, 0xff]))),
      Code.InvalidArgument,
      "malformed_request",
    ],
    ["half a frame", () => call(GENERATE, Buffer.from([0, 0, 0, 0, 9, 1])), Code.InvalidArgument, "malformed_request"],
    [
      "a message over the limit",
      () => call(GENERATE, request("m", "x".repeat(100_001))),
      Code.ResourceExhausted,
      "request_too_large",
    ],
    [
      "an unknown compression",
      () => call(GENERATE, request("m"), { "grpc-encoding": "br" }),
      Code.Unimplemented,
      "encoding_unsupported",
    ],
    [
      "a method that nobody filled",
      () => call("/drover.inference.v1.InferenceService/Chat", request("m")),
      Code.Unimplemented,
      "not_implemented",
    ],
    [
      "an unknown method",
      () => call("/drover.inference.v1.InferenceService/Sing", request("m")),
      Code.Unimplemented,
      "not_implemented",
    ],
    ["an unknown service", () => call("/x/y", request("m")), Code.Unimplemented, "not_implemented"],
    [
      "a malformed timeout",
      () => call(GENERATE, request("m"), { "grpc-timeout": "soon" }),
      Code.InvalidArgument,
      "malformed_request",
    ],
  ])("refuses %s as Trailers-Only with its reason", async (_, answer, code, kind) => {
    expect(outcome(await answer())).toEqual({ isTrailersOnly: true, code, kind });
  });

  it("names what it accepts where a compression is unknown", async () => {
    const { headers } = await call(GENERATE, request("m"), { "grpc-encoding": "snappy" });
    expect(headers["grpc-accept-encoding"]).toBe("identity,gzip");
  });

  it("takes gzip, within the limit after inflating", async () => {
    const gzipped = (prompt: string): Buffer =>
      frame(gzipSync(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model: "m", prompt }))), 1);
    const small = await call(GENERATE, gzipped("x".repeat(50_000)), { "grpc-encoding": "gzip" });
    expect(readGrpcStatus(small.trailers)?.code).toBe(0);
    expect(small.headers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
    const bomb = await call(GENERATE, gzipped("x".repeat(50_000_000)), { "grpc-encoding": "gzip" });
    expect(outcome(bomb)).toMatchObject({ code: Code.ResourceExhausted, kind: "request_too_large" });
    const broken = await call(GENERATE, frame(Buffer.from("no gzip"), 1), { "grpc-encoding": "gzip" });
    expect(outcome(broken)).toEqual({ isTrailersOnly: true, code: Code.InvalidArgument, kind: "malformed_request" });
  });

  it("never compresses an answer, whatever the caller accepts", async () => {
    const { headers, body } = await call(GENERATE, request("long"), {
      "grpc-accept-encoding": "gzip",
      "accept-encoding": "gzip, br",
    });
    expect(headers["grpc-encoding"]).toBeUndefined();
    expect(body.length).toBeGreaterThan(60_000);
    expect(body[0]).toBe(0);
  });

  it.each(["720H", "99999999H", "100000000S"])("serves a call with the long timeout %s", async (timeout) => {
    const answer = await call(GENERATE, request("m"), { "grpc-timeout": timeout });
    expect(readGrpcStatus(answer.isTrailersOnly ? answer.headers : answer.trailers)?.code).toBe(
      timeout.length > 9 ? 3 : 0,
    );
  });

  it.each([
    { ":path": "//" },
    { ":path": "/%", ":authority": "[" },
    { ":path": GENERATE, ":authority": "a b" },
    { ":path": GENERATE, ":authority": "[" },
    { ":path": "*", ":method": "OPTIONS" },
    { ":path": "/", "content-type": "" },
    { ":path": GENERATE, ":authority": "" },
  ])("answers the strange request %j and lives", async (headers) => {
    const answer = await rawCall(session, headers, request("m"));
    expect(answer.headers[":status"] ?? answer.resetCode).toBeTruthy();
    expect(readGrpcStatus((await call(GENERATE, request("m"))).trailers)?.code).toBe(0);
  });
});

describe("the bodies of running requests", () => {
  it("share one budget, which every call gives back", async () => {
    const requestBodies = new ByteBudget(100_000);
    const small = await openTestListener({ requestBodies });
    const own = http2.connect(small.url);
    const generate = (prompt: string, path = GENERATE): Promise<RawAnswer> =>
      rawCall(own, { ":path": path }, request("m", prompt));
    try {
      for (const path of [GENERATE, EMBED]) {
        const refused = await generate("x".repeat(100_000), path);
        expect(readGrpcStatus(refused.headers)).toMatchObject({ code: Code.ResourceExhausted });
        expect(readGrpcStatus(refused.headers)?.message).toContain("as many bytes of requests as it may");
        expect(refused.headers["grpc-retry-pushback-ms"]).toBe("1000");
        await expect.poll(() => requestBodies.held).toBe(0);
      }
      expect(readGrpcStatus((await generate("x".repeat(90_000))).trailers)?.code).toBe(0);
      await expect.poll(() => requestBodies.held).toBe(0);
      const hanging = own.request({ ":method": "POST", ":path": GENERATE, "content-type": "application/grpc" });
      hanging.on("error", () => undefined).end(request("hangs", "x".repeat(60_000)));
      await once(hanging, "response");
      expect(requestBodies.held).toBeGreaterThan(60_000);
      expect(readGrpcStatus((await generate("x".repeat(60_000))).headers)?.code).toBe(Code.ResourceExhausted);
      hanging.close(http2.constants.NGHTTP2_CANCEL);
      await expect.poll(() => requestBodies.held).toBe(0);
    } finally {
      own.destroy();
      small.destroy();
    }
  });
});

describe("a caller that does not read", () => {
  it("loses its stream at once when the handler abandons the call, and keeps its connection", async () => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/drover.inference.v1.InferenceService/Generate",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    stream.pause();
    stream.end(request("abandons", ""));
    await vi.waitFor(() => expect(stream.rstCode).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM), { timeout: 2_000 });
    await vi.waitFor(() => expect(listener.aborts).toContain("abandons"), { timeout: 2_000 });
    expect(session.destroyed).toBe(false);
  });
});
