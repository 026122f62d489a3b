/** Doors that are curl: the bytes of each protocol made here, sent and received by a program that knows none of them. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type DescMethod, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { decodeGrpcMessage } from "@drover/platform";
import { type Answer, type Ask, type Door, pathOf, reasonOfDetails } from "./door.ts";

type Version = "1.1" | "2";
type Protocol = "connect" | "grpc" | "grpc-web";

interface Shape {
  readonly protocol: Protocol;
  readonly isBinary: boolean;
  readonly version: Version;
}

export function curlDoors(): Door[] {
  const shapes: Shape[] = (["1.1", "2"] as const).flatMap((version) => [
    { protocol: "connect", isBinary: false, version },
    { protocol: "connect", isBinary: true, version },
    { protocol: "grpc-web", isBinary: true, version },
  ]);
  shapes.push({ protocol: "grpc", isBinary: true, version: "1.1" }, { protocol: "grpc", isBinary: true, version: "2" });
  return shapes.map((shape) => ({
    name: `curl, ${shape.protocol} ${shape.isBinary ? "binary" : "JSON"}, HTTP/${shape.version}`,
    bothWays: shape.version === "2" ? "yes" : "refused by the router",
    canMalformDeadline: true,
    ask: (ask) => askCurl(shape, ask),
  }));
}

async function askCurl(shape: Shape, ask: Ask): Promise<Answer> {
  const { method, take } = ask;
  const isUnary = method.methodKind === "unary";
  const isBare = shape.protocol === "connect" && isUnary;
  const input = fromJson(method.input, ask.request);
  const message = shape.isBinary ? toBinary(method.input, input) : Buffer.from(JSON.stringify(ask.request));
  const headers = [`content-type: ${contentType(shape, isUnary)}`, "te: trailers"];
  const timeout = shape.protocol === "connect" ? "connect-timeout-ms" : "grpc-timeout";
  if (ask.isDeadlineMalformed === true) headers.push(`${timeout}: soon`);
  const received = await curl({
    url: `http://${ask.address}/${pathOf(method)}`,
    version: shape.version,
    headers,
    body: isBare ? message : envelope(message),
    isEnough: (body) => take !== undefined && messagesOf(body).length >= take,
  });
  return isBare ? readBare(shape, method, received) : readEnvelopes(shape, method, received);
}

function contentType({ protocol, isBinary }: Shape, isUnary: boolean): string {
  const format = isBinary ? "proto" : "json";
  if (protocol !== "connect") return `application/${protocol}+${format}`;
  return isUnary ? `application/${format}` : `application/connect+${format}`;
}

function envelope(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

interface Received {
  readonly status: number;
  /** Headers, and the trailers of HTTP/2. */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

interface CurlCall {
  readonly url: string;
  readonly version: Version;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  /** Ends curl. */
  readonly isEnough: (body: Buffer) => boolean;
}

function curl({ url, version, headers, body, isEnough }: CurlCall): Promise<Received> {
  // Not /dev/stderr: Node's pipes are sockets, which cannot be opened by that name.
  const headFile = path.join(tmpdir(), `drover-curl-${randomUUID()}`);
  const args = ["--silent", "--no-buffer", "--max-time", "20", "--dump-header", headFile, "--data-binary", "@-"];
  args.push(version === "2" ? "--http2-prior-knowledge" : "--http1.1", ...headers.flatMap((header) => ["-H", header]));
  const child = spawn("curl", [...args, url], { stdio: ["pipe", "pipe", "inherit"] });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => {
    parts.push(part);
    if (isEnough(Buffer.concat(parts))) child.kill();
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(body);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => {
      const head = readFileSync(headFile, "latin1");
      rmSync(headFile);
      const lines = head.split("\r\n").filter((line) => line.includes(": "));
      const fields = lines.map((line): [string, string] => [
        line.slice(0, line.indexOf(":")).toLowerCase(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]);
      const status = Number(/^HTTP\/\S+ (\d+)/.exec(head)?.[1] ?? 0);
      resolve({ status, fields: new Map(fields), body: Buffer.concat(parts) });
    });
  });
}

interface Envelope {
  readonly flags: number;
  readonly data: Buffer;
}

/** Whole ones. */
function envelopesOf(body: Buffer): Envelope[] {
  const envelopes: Envelope[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) break;
    envelopes.push({ flags: body.readUInt8(at), data: body.subarray(at + 5, end) });
    at = end;
  }
  return envelopes;
}

const messagesOf = (body: Buffer): Envelope[] => envelopesOf(body).filter(({ flags }) => flags === 0);

function readMessage({ isBinary }: Shape, { output }: DescMethod, data: Buffer): JsonValue {
  return isBinary ? toJson(output, fromBinary(output, data)) : JSON.parse(data.toString());
}

function readBare(shape: Shape, method: DescMethod, { status, body }: Received): Answer {
  if (status !== 200) return connectError([], body.toString());
  return { messages: [readMessage(shape, method, body)], code: "ok", message: "", reason: undefined };
}

function readEnvelopes(shape: Shape, method: DescMethod, { fields, body }: Received): Answer {
  const messages = messagesOf(body).map(({ data }) => readMessage(shape, method, data));
  const end = envelopesOf(body)
    .find(({ flags }) => flags !== 0)
    ?.data.toString();
  if (shape.protocol === "connect") return end === undefined ? connectError(messages, "{}") : connectEnd(messages, end);
  const lines = end?.trim().split("\r\n") ?? [];
  const own = lines.map((line): [string, string] => [
    line.slice(0, line.indexOf(":")),
    line.slice(line.indexOf(":") + 1).trim(),
  ]);
  return grpcEnd(messages, new Map([...fields, ...own]));
}

function connectEnd(messages: readonly JsonValue[], end: string): Answer {
  const { error } = JSON.parse(end) as { error?: object };
  return connectError(messages, JSON.stringify(error ?? {}));
}

function connectError(messages: readonly JsonValue[], json: string): Answer {
  const { code = "ok", message = "", details = [] } = JSON.parse(json);
  const reason = details.map(({ debug }: { debug?: { reason?: string } }) => debug?.reason).find(Boolean);
  return { messages, code, message, reason };
}

function grpcEnd(messages: readonly JsonValue[], fields: ReadonlyMap<string, string>): Answer {
  // Not there for a caller that left.
  const status = Number(fields.get("grpc-status") ?? 0);
  const message = decodeGrpcMessage(fields.get("grpc-message") ?? "");
  const reason = reasonOfDetails(Buffer.from(fields.get("grpc-status-details-bin") ?? "", "base64"));
  return { messages, code: status === 0 ? "ok" : codeToString(status), message, reason };
}
