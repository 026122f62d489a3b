/**
 * A caller that leaves a call in one of the ways in which callers do: on bare HTTP, because client libraries know only some of
 * them. Run as a program (`leaving-caller.ts ADDRESS PROTOCOL METHOD BODY NODE`) it calls and waits to be killed.
 */
import { fork } from "node:child_process";
import { request as requestHttp1 } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";

export type Protocol = "gRPC" | "Connect on HTTP/2" | "Connect on HTTP/1.1";
export type Method = "Chat" | "Embed";

/** `cancels` is what gRPC libraries do; `resets` is any other end of the stream, and on HTTP/1.1 of the connection. */
export type Leaving = "cancels" | "resets" | "disconnects" | "is killed";

export interface Calling {
  readonly address: string;
  readonly protocol: Protocol;
  readonly method: Method;
  /** The request message, not framed. */
  readonly message: Uint8Array;
  /** The node that must serve it. */
  readonly node: string;
}

/** What a caller can do once it has called. */
export interface Left {
  /** The whole request was handed to the kernel. */
  readonly sent: Promise<void>;
  leave(): void;
  /** Gives back what is open here. */
  close(): void;
}

const PREFIX_BYTES = 5;

/** Calls now, and leaves when told. What comes back is read and dropped. */
export function call(calling: Calling, leaving: Leaving): Left {
  if (leaving === "is killed") return callInProcess(calling);
  return calling.protocol === "Connect on HTTP/1.1" ? callHttp1(calling, leaving) : callHttp2(calling, leaving);
}

/** A process that only the signal ends: its kernel closes the connection. */
function callInProcess({ address, protocol, method, message, node }: Calling): Left {
  const args = [address, protocol, method, Buffer.from(message).toString("base64"), node];
  const child = fork(fileURLToPath(import.meta.url), args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const kill = (): void => void child.kill("SIGKILL");
  return { sent: new Promise((resolve) => child.once("message", () => resolve())), leave: kill, close: kill };
}

function callHttp2(calling: Calling, leaving: Exclude<Leaving, "is killed">): Left {
  const session = connect(`http://${calling.address}`);
  session.on("error", () => undefined);
  const stream = session.request({ ":method": "POST", ":path": pathOf(calling), ...headersOf(calling) });
  stream.on("error", () => undefined);
  stream.resume();
  stream.end(bodyOf(calling));
  return {
    sent: new Promise((resolve) => stream.once("finish", resolve)),
    leave: () => leaveHttp2(session, stream, leaving),
    close: () => session.destroy(),
  };
}

function leaveHttp2(session: ClientHttp2Session, stream: ClientHttp2Stream, leaving: Leaving): void {
  if (leaving === "cancels") stream.close(constants.NGHTTP2_CANCEL);
  else if (leaving === "resets") stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  // Without GOAWAY: the cable was pulled, and the kernel says so.
  else session.socket.destroy();
}

function callHttp1(calling: Calling, leaving: Leaving): Left {
  const request = requestHttp1(`http://${calling.address}${pathOf(calling)}`, {
    method: "POST",
    agent: false,
    headers: headersOf(calling),
  });
  let socket: Socket | undefined;
  request.on("socket", (opened) => {
    socket = opened;
  });
  request.on("error", () => undefined);
  request.on("response", (response) => response.on("error", () => undefined).resume());
  request.end(bodyOf(calling));
  const leave = (): void => {
    if (leaving === "resets") socket?.resetAndDestroy();
    else request.destroy();
  };
  return {
    sent: new Promise((resolve) => request.once("finish", resolve)),
    leave,
    close: () => request.destroy(),
  };
}

function pathOf({ method }: Calling): string {
  return `/drover.inference.v1.InferenceService/${method}`;
}

function headersOf({ protocol, method, node }: Calling): Record<string, string> {
  const own = { "drover-node": node };
  if (protocol === "gRPC") return { ...own, "content-type": "application/grpc", te: "trailers" };
  const contentType = isFramed({ protocol, method }) ? "application/connect+proto" : "application/proto";
  return { ...own, "content-type": contentType, "connect-protocol-version": "1" };
}

/** Connect sends unary messages bare. */
function isFramed({ protocol, method }: Pick<Calling, "protocol" | "method">): boolean {
  return protocol === "gRPC" || method !== "Embed";
}

function bodyOf(calling: Calling): Uint8Array {
  if (!isFramed(calling)) return calling.message;
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(calling.message.length, 1);
  return Buffer.concat([prefix, calling.message]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [address = "", protocol, method, body = "", node = ""] = process.argv.slice(2);
  const message = Buffer.from(body, "base64");
  const calling = { address, protocol: protocol as Protocol, method: method as Method, message, node };
  void call(calling, "disconnects").sent.then(() => process.send?.("sent"));
  // The test that started this may die first.
  process.once("disconnect", () => process.exit());
}
