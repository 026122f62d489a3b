import http2, { type ClientHttp2Session } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { GenerateRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { droverErrorFromGrpc, readGrpcStatus } from "../grpc-status.ts";
import { connectRaw, frame, openTestListener, rawCall, type TestListener } from "./listener.fixture.ts";

const GENERATE = "/drover.inference.v1.InferenceService/Generate";
const EMBED = "/drover.inference.v1.InferenceService/Embed";
const REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

let listener: TestListener;
let session: ClientHttp2Session;
beforeAll(async () => {
  listener = await openTestListener();
  session = http2.connect(listener.url);
});
afterAll(async () => {
  session.destroy();
  listener.destroy();
  await listener.drain();
});

interface Answer {
  readonly status: number;
  readonly fields: Record<string, string>;
  readonly body: Buffer;
}

type Version = "HTTP/1.1" | "HTTP/2";

async function send(version: Version, path: string, { type = "", body = "" as string | Uint8Array, method = "POST" }) {
  if (version === "HTTP/2") {
    const headers = { ":method": method, ":path": path, "content-type": type };
    const answer = await rawCall(session, headers, method === "POST" ? Buffer.from(body) : Buffer.alloc(0));
    const fields = { ...answer.headers, ...answer.trailers } as Record<string, string>;
    return { status: Number(answer.headers[":status"]), fields, body: answer.body };
  }
  const init = method === "POST" ? { body: Buffer.from(body) } : {};
  const response = await fetch(`${listener.url}${path}`, { method, headers: { "content-type": type }, ...init });
  const fields = Object.fromEntries(response.headers);
  return { status: response.status, fields, body: Buffer.from(await response.arrayBuffer()) };
}

interface Told {
  readonly code: number | undefined;
  readonly message: string;
  readonly reason: string | undefined;
}

/** The error of an answer in any of the protocols. */
function told({ fields, body }: Answer): Told {
  const type = fields["content-type"] ?? "";
  if (type.startsWith("application/grpc")) return toldByGrpc(type.includes("web") ? webFields(fields, body) : fields);
  const text = type.startsWith("application/connect") ? lastFrame(body) : body.toString();
  const { error, ...own } = JSON.parse(text);
  const { code, message, details = [] } = error ?? own;
  const reason = details.map(({ debug }: { debug?: { reason?: string } }) => debug?.reason).find(Boolean);
  return { code: codeFromString(code), message, reason };
}

function toldByGrpc(fields: Record<string, string>): Told {
  const { code = 0, message = "" } = readGrpcStatus(fields) ?? {};
  return { code, message, reason: droverErrorFromGrpc(code as Code, message, fields)?.kind.toUpperCase() };
}

function webFields(fields: Record<string, string>, body: Buffer): Record<string, string> {
  const lines = body.length === 0 ? [] : lastFrame(body).trim().split("\r\n");
  const trailers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  return { ...fields, ...Object.fromEntries(trailers) };
}

function lastFrame(body: Buffer): string {
  let at = 0;
  while (at + 5 + body.readUInt32BE(at + 1) < body.length) at += 5 + body.readUInt32BE(at + 1);
  return body.subarray(at + 5).toString();
}

const NO_PROTOBUF = Buffer.from([0xff, 0xff, 0xff]);
const NO_JSON = Buffer.from("{nothing");
const WRONG_JSON = Buffer.from('{"model":{"a":1}}');

const MALFORMED: [string, string, string, Uint8Array][] = [
  ["unary Connect, JSON that is none", EMBED, "application/json", NO_JSON],
  ["unary Connect, JSON of another shape", EMBED, "application/json", WRONG_JSON],
  ["unary Connect, JSON with a charset", EMBED, "application/json; charset=utf-8", NO_JSON],
  ["unary Connect, no protobuf", EMBED, "application/proto", NO_PROTOBUF],
  ["unary Connect, JSON as protobuf", EMBED, "application/proto", Buffer.from('{"model":"m"}')],
  ["streaming Connect, JSON that is none", GENERATE, "application/connect+json", frame(NO_JSON)],
  ["streaming Connect, JSON of another shape", GENERATE, "application/connect+json", frame(WRONG_JSON)],
  ["streaming Connect, no protobuf", GENERATE, "application/connect+proto", frame(NO_PROTOBUF)],
  ["unary gRPC-Web, no protobuf", EMBED, "application/grpc-web+proto", frame(NO_PROTOBUF)],
  ["unary gRPC-Web, JSON of another shape", EMBED, "application/grpc-web+json", frame(WRONG_JSON)],
  ["streaming gRPC-Web, no protobuf", GENERATE, "application/grpc-web", frame(NO_PROTOBUF)],
  ["unary gRPC, JSON that is none", EMBED, "application/grpc+json", frame(NO_JSON)],
];

describe.each(["HTTP/1.1", "HTTP/2"] as const)("over %s", (version) => {
  const isGrpcOverHttp1 = (type: string): boolean => version === "HTTP/1.1" && /^application\/grpc(\+|$)/.test(type);

  it.each(MALFORMED.filter(([, , type]) => !isGrpcOverHttp1(type)))(
    "a malformed message is the caller's fault: %s",
    async (_, path, type, body) => {
      const answer = await send(version, path, { type, body });
      const { code, message, reason } = told(answer);
      expect({ code, reason }).toEqual({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
      expect(message).toMatch(/^(parse binary: .*\. The content type says protobuf; JSON goes as |cannot decode )/);
      if (path === EMBED && type.includes("application/json")) expect(answer.status).toBe(400);
      if (path === EMBED) expect(answer.fields["drover-call"] ?? "none").toMatch(/^[0-9a-f-]{36}$|none/);
    },
  );

  it.each([
    ["Connect", "application/connect+json", '{"model":"m"}', true],
    ["Connect, shorter than a prefix", "application/connect+json", "{}", true],
    ["Connect, protobuf", "application/connect+proto", "\n\x01m", false],
    ["gRPC-Web", "application/grpc-web", '{"model":"m"}', true],
  ])("a message without its 5 bytes in front is told of them: %s", async (_, type, body, isJson) => {
    const { code, message, reason } = told(await send(version, GENERATE, { type, body }));
    expect({ code, reason }).toEqual({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
    expect(message).toContain("does not begin with the 5 bytes that stand before each message");
    expect(message.includes("bare JSON")).toBe(isJson);
  });

  it.each([
    ["what curl sends without a header", EMBED, "application/x-www-form-urlencoded"],
    ["none", EMBED, ""],
    ["plain text", EMBED, "text/plain"],
    ["a stream's type for a unary method", EMBED, "application/connect+json"],
    ["a unary type for a stream", GENERATE, "application/json"],
  ])("another content type is told those that are served: %s", async (_, path, type) => {
    const answer = await send(version, path, { type, body: "{}" });
    expect(answer.status).toBe(415);
    expect(told(answer)).toMatchObject({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
    const isUnary = path === EMBED;
    const types = isUnary
      ? "application/json or application/proto"
      : "application/connect+json or application/connect+proto";
    expect(told(answer).message).toContain(types);
    expect(told(answer).message).toContain(type === "" ? "without one" : `"${type}"`);
    expect(told(answer).message.includes("5 bytes in front")).toBe(!isUnary);
    expect(answer.fields["accept-post"]).toContain(isUnary ? "application/json," : "application/connect+json,");
  });

  it.each([
    "application/grpc-web-text",
    "application/grpc-web+thrift",
    ...(version === "HTTP/2" ? ["application/grpc+thrift"] : []),
  ])("a gRPC caller of the type %s gets a gRPC status", async (type) => {
    const answer = await send(version, EMBED, { type, body: frame(Buffer.alloc(0)) });
    expect(answer.status).toBe(200);
    expect(told(answer)).toMatchObject({ code: Code.InvalidArgument, reason: "MALFORMED_REQUEST" });
  });

  it.each([EMBED, GENERATE])("a GET of %s says that it is to be posted", async (path) => {
    const answer = await send(version, path, { method: "GET" });
    expect(answer.status).toBe(405);
    expect(answer.fields["allow"]).toBe("POST");
    expect(answer.fields["content-type"]).toBe("text/plain; charset=utf-8");
    expect(answer.body.toString()).toContain("to be called with POST, not GET");
    expect(answer.body.toString()).toContain(`grpcurl -plaintext ${listener.address} list`);
  });

  it("a browser at the root is told what this port is, and how to call it", async () => {
    const answer = await send(version, "/", { method: "GET" });
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toMatch(/^This is a port of Drover/);
    expect(answer.body.toString()).toContain("drover.inference.v1.InferenceService, ");
    const curl = /curl -H 'content-type: application\/json' -d '\{\}' (\S+)/.exec(answer.body.toString())?.[1] ?? "";
    const headers = { "content-type": "application/json" };
    expect(await (await fetch(curl, { method: "POST", headers, body: "{}" })).json()).toEqual({ status: "SERVING" });
  });

  it("an unknown path is told so to people and to programs", async () => {
    const page = await send(version, "/favicon.ico", { method: "GET" });
    expect(page.status).toBe(404);
    expect(page.body.toString()).toMatch(/^There is nothing here\./);
    const call = await send(version, "/x/Y", { type: "application/json", body: "{}" });
    expect(call.status).toBe(404);
    expect(told(call)).toEqual({
      code: Code.Unimplemented,
      reason: "NOT_IMPLEMENTED",
      message: "This Drover has no method /x/Y.",
    });
  });

  it("a HEAD has no body", async () => {
    const answer = await send(version, "/", { method: "HEAD" });
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
  });
});

describe("a method that streams both ways", () => {
  it("is answered over HTTP/1.1 while its caller still sends, who has a second to end", async () => {
    const { socket, received, closed } = await connectRaw(listener.port);
    const startedAtMs = performance.now();
    const head = `POST ${REFLECT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n`);
    await expect.poll(received).toContain("call it over HTTP/2");
    socket.write("2\r\n{}\r\n");
    await closed;
    expect(performance.now() - startedAtMs).toBeGreaterThan(900);
  });

  it("says so to who looks at it with curl", async () => {
    const answer = await send("HTTP/1.1", REFLECT, { type: "application/json", body: "{}" });
    expect(answer.status).toBe(505);
    expect(told(answer).message).toContain("over HTTP/2");
  });

  it.each(["application/connect+json", "application/grpc-web+proto"])(
    "says over HTTP/1.1 that it needs HTTP/2, as %s",
    async (type) => {
      const answer = await send("HTTP/1.1", REFLECT, { type, body: frame(Buffer.alloc(0)) });
      expect(answer.status).toBe(200);
      expect(told(answer)).toMatchObject({ code: Code.Unimplemented, reason: "NOT_IMPLEMENTED" });
      expect(told(answer).message).toContain("over HTTP/2");
    },
  );
});

it("a request with a host that is no address gets no such link", async () => {
  const answer = await rawCall(session, { ":method": "GET", ":path": "/", ":authority": "<script>" });
  expect(answer.body.toString()).not.toContain("script");
});

it("leaves a good call as it is", async () => {
  const message = create(GenerateRequestSchema, { model: "m", prompt: "hi" });
  const body = frame(toBinary(GenerateRequestSchema, message));
  const answer = await send("HTTP/1.1", GENERATE, { type: "application/grpc-web+proto", body });
  expect(told(answer)).toMatchObject({ code: 0 });
});
