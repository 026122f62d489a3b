import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { seededRng, systemClock } from "@drover/platform";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chunkFrame, doneFrame, frame, progressFrame } from "../testing/frames.ts";
import { quiet, RecordingListener, until } from "../testing/recording-listener.ts";
import { AgentAttempt } from "./agent-attempt.ts";
import { SessionPool } from "./session-pool.ts";
import { closedEndpoint, Http2Node, openRawPort, type StreamHandler } from "./testing/http2-node.ts";

const GRPC = { ":status": 200, "content-type": "application/grpc+proto" };
const OK = { "grpc-status": "0" };

let pool: SessionPool;
const closers: (() => Promise<void>)[] = [];

beforeEach(() => {
  pool = new SessionPool({ clock: systemClock, rng: seededRng(1) });
});

afterEach(async () => {
  pool.destroy();
  for (const close of closers.splice(0)) await close();
});

async function openNode(handler: StreamHandler): Promise<Http2Node> {
  const node = await Http2Node.open(handler);
  closers.push(() => node.close());
  return node;
}

interface AttemptOptions {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
}

function attempt(endpoint: string, { headers = {}, body = frame([1, 2, 3]) }: AttemptOptions = {}) {
  const listener = new RecordingListener();
  const path = "/drover.inference.v1.InferenceService/Chat";
  return { attempt: new AgentAttempt(pool, { endpoint, path, headers, body }, listener), listener };
}

/** Answers with these pieces, one write each, and then the trailers. */
function answers(pieces: readonly Uint8Array[], trailers: OutgoingHttpHeaders = OK): StreamHandler {
  return (stream) => {
    stream.respond(GRPC, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    for (const piece of pieces) stream.write(piece);
    stream.end();
  };
}

async function collect(stream: ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe("an attempt", () => {
  it("sends the request and reports messages and trailers", async () => {
    const requests: unknown[] = [];
    const stream = [progressFrame("p"), chunkFrame("a"), chunkFrame("b"), doneFrame("d")];
    const node = await openNode(async (serverStream, headers) => {
      requests.push(headers, await collect(serverStream));
      await answers(stream, { ...OK, "drover-queue-ms": "7" })(serverStream, headers);
    });
    const { listener } = attempt(node.endpoint, { headers: { "x-own": ["1", "2"], "x-bin": "AAEC" } });
    expect(await listener.outcome()).toBe("OK");
    expect(listener.bytes).toEqual(Buffer.concat(stream));
    expect(listener.seen).toEqual({ messages: 4, outputs: 3, hasDone: true });
    expect(listener.ends).toEqual([
      { kind: "answered", trailers: expect.objectContaining({ "drover-queue-ms": "7", "grpc-status": "0" }) },
    ]);
    expect(requests).toEqual([
      expect.objectContaining({
        ":method": "POST",
        ":path": "/drover.inference.v1.InferenceService/Chat",
        "content-type": "application/grpc+proto",
        te: "trailers",
        "grpc-accept-encoding": "identity",
        "x-own": "1, 2",
        "x-bin": "AAEC",
      }),
      frame([1, 2, 3]),
    ]);
  });

  it("reports whole messages only, however the network cuts them", async () => {
    const bytes = Buffer.concat([progressFrame(), chunkFrame("some text"), chunkFrame(""), doneFrame("end")]);
    const node = await openNode((stream) => {
      stream.respond(GRPC, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers(OK));
      const writeFrom = (at: number): void => {
        if (at === bytes.length) stream.end();
        else stream.write(bytes.subarray(at, at + 1), () => setImmediate(() => writeFrom(at + 1)));
      };
      writeFrom(0);
    });
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("OK");
    expect(listener.bytes).toEqual(bytes);
    expect(listener.pieces.length).toBe(4);
  });

  it("drops empty messages, which have no kind", async () => {
    const node = await openNode(
      answers([Buffer.concat([frame([]), chunkFrame("a"), frame([]), frame([])]), frame([]), doneFrame()]),
    );
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("OK");
    expect(listener.bytes).toEqual(Buffer.concat([chunkFrame("a"), doneFrame()]));
  });

  it("carries a large request and a large answer", async () => {
    const large = frame(Buffer.alloc(3_000_000, 0x12));
    let received = 0;
    const node = await openNode(async (stream, headers) => {
      received = (await collect(stream)).length;
      await answers([large, doneFrame()])(stream, headers);
    });
    const { listener } = attempt(node.endpoint, { body: large });
    expect(await listener.outcome()).toBe("OK");
    expect(received).toBe(large.length);
    expect(listener.bytes.equals(Buffer.concat([large, doneFrame()]))).toBe(true);
  });

  it("reports nothing before the one who made it holds it", async () => {
    const endpoint = await closedEndpoint();
    const { listener } = attempt(endpoint);
    expect(listener.ends).toEqual([]);
    await listener.ended;
  });
});

describe("an answer that fails before any message", () => {
  it("is the same as Trailers-Only and as headers followed by trailers", async () => {
    const trailers = { "grpc-status": "5", "grpc-message": "no model", "grpc-status-details-bin": "CAU" };
    const node = await openNode((stream, headers) => {
      if (headers["x-shape"] === "two blocks") return answers([], trailers)(stream, headers);
      return stream.respond({ ...GRPC, ...trailers }, { endStream: true });
    });
    for (const shape of ["trailers-only", "two blocks"]) {
      const { listener } = attempt(node.endpoint, { headers: { "x-shape": shape } });
      const end = await listener.ended;
      expect(end).toMatchObject({ kind: "answered", trailers });
      expect(listener.pieces).toEqual([]);
    }
  });

  it("counts also when the node did not read the request to its end", async () => {
    const node = await openNode((stream) => {
      stream.respond({ ...GRPC, "grpc-status": "8", "grpc-message": "too large" }, { endStream: true });
      stream.close(constants.NGHTTP2_NO_ERROR);
    });
    const { listener } = attempt(node.endpoint, { body: Buffer.alloc(8_000_000) });
    expect(await listener.outcome()).toBe("status 8");
  });

  it.each([
    [404, "not_implemented", "HTTP 404"],
    [503, "node_protocol_error", "HTTP 503"],
  ])("as plain HTTP %i is a failure that says so", async (status, kind, words) => {
    const node = await openNode((stream) => {
      stream.respond({ ":status": status, "content-type": "text/html" });
      stream.end("<html>nothing here</html>");
    });
    const { listener } = attempt(node.endpoint);
    const end = await listener.ended;
    expect(end).toMatchObject({ kind: "broken", error: { kind } });
    if (end.kind === "broken") expect(end.error.message).toContain(words);
    expect(listener.pieces).toEqual([]);
  });

  it("as a web page with 200 is a failure that says so", async () => {
    const node = await openNode((stream) => {
      stream.respond({ ":status": 200, "content-type": "text/html; charset=utf-8" });
      stream.end("<html>hello</html>");
    });
    const { listener } = attempt(node.endpoint);
    const end = await listener.ended;
    expect(end).toMatchObject({ kind: "broken", error: { kind: "node_protocol_error" } });
    if (end.kind === "broken") expect(end.error.message).toContain("text/html");
  });
});

describe("an answer that breaks", () => {
  it("in the middle of a message leaves whole messages only", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.write(Buffer.concat([chunkFrame("whole"), chunkFrame("cut off").subarray(0, 8)]));
    });
    const { listener } = attempt(node.endpoint);
    await until(() => listener.pieces.length > 0);
    node.killSockets();
    expect(await listener.outcome()).toBe("node_unreachable");
    expect(listener.bytes).toEqual(chunkFrame("whole"));
    expect(listener.seen).toEqual({ messages: 1, outputs: 1, hasDone: false });
  });

  it("in the middle of a message is a failure even when the node then says OK", async () => {
    const node = await openNode(answers([chunkFrame("whole"), doneFrame("cut").subarray(0, 7)]));
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_protocol_error");
    expect(listener.bytes).toEqual(chunkFrame("whole"));
    expect(listener.seen.hasDone).toBe(false);
  });

  it("by ending without trailers is a failure", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.end(chunkFrame("a"));
    });
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_protocol_error");
    expect(listener.bytes).toEqual(chunkFrame("a"));
  });

  it("by ending without trailers is a failure also while the request is still being sent", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.end();
    });
    const { listener } = attempt(node.endpoint, { body: Buffer.alloc(8_000_000) });
    expect(await listener.outcome()).toBe("node_protocol_error");
  });

  it("with a compressed message is a failure, and the node is told to stop", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.write(frame([1, 2, 3], 1));
    });
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_protocol_error");
    expect(listener.pieces).toEqual([]);
    await until(() => node.streams[0]?.rstCode === constants.NGHTTP2_CANCEL);
  });

  it.each([
    ["REFUSED_STREAM", constants.NGHTTP2_REFUSED_STREAM, "stream_refused"],
    ["ENHANCE_YOUR_CALM", constants.NGHTTP2_ENHANCE_YOUR_CALM, "stream_refused"],
    ["INTERNAL_ERROR", constants.NGHTTP2_INTERNAL_ERROR, "node_protocol_error"],
    ["CANCEL", constants.NGHTTP2_CANCEL, "node_unreachable"],
  ])("with %s is told apart", async (_name, code, kind) => {
    const node = await openNode((stream) => stream.close(code));
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe(kind);
  });

  it("with its connection destroyed by the node is a lost node", async () => {
    const node = await openNode((stream) => setImmediate(() => stream.session?.destroy()));
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_unreachable");
  });

  it("with its TCP connection reset, as by a kill with bytes unread, is a lost node", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      setImmediate(() => (stream.session?.socket as Socket | undefined)?.resetAndDestroy());
    });
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_unreachable");
  });

  it("with a connection that the node ends in error is a failure", async () => {
    const node = await openNode((stream) =>
      setImmediate(() => stream.session?.destroy(undefined, constants.NGHTTP2_INTERNAL_ERROR)),
    );
    const { listener } = attempt(node.endpoint);
    expect(["node_unreachable", "node_protocol_error"]).toContain(await listener.outcome());
  });

  it("with a message over 64 MiB is a failure before it fills the memory", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      const head = Buffer.from([0, 0x04, 0, 0, 2, 0x12]);
      stream.write(head);
    });
    const { listener } = attempt(node.endpoint);
    expect(await listener.outcome()).toBe("node_protocol_error");
    await until(() => node.streams[0]?.rstCode === constants.NGHTTP2_CANCEL);
  });
});

describe("a node that cannot be reached", () => {
  it("is told when nothing listens", async () => {
    const { listener } = attempt(await closedEndpoint());
    const end = await listener.ended;
    expect(end).toMatchObject({ kind: "broken", error: { kind: "node_unreachable" } });
    if (end.kind === "broken") {
      expect(end.error.message).toBe("The connection to the node was refused: is drover-agent running there?");
      expect(end.error.message).not.toContain("127.0.0.1");
    }
  });

  it("is told when another program answers", async () => {
    const port = await openRawPort((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    closers.push(port.close);
    const { listener } = attempt(port.endpoint);
    expect(await listener.outcome()).toMatch(/^node_/);
  });

  it("is told when the connection is closed at once", async () => {
    const port = await openRawPort((socket) => socket.destroy());
    closers.push(port.close);
    const { listener } = attempt(port.endpoint);
    expect(await listener.outcome()).toBe("node_unreachable");
  });

  it.each(["no host:50052", "127.0.0.1:99999", ""])("is told when the endpoint %j is no address", async (endpoint) => {
    const { listener } = attempt(endpoint);
    expect(await listener.outcome()).toBe("node_unreachable");
  });
});

describe("a request that cannot be sent", () => {
  it("ends its attempt and nothing else when its headers are refused", async () => {
    const node = await openNode(answers([doneFrame()]));
    const { listener } = attempt(node.endpoint, { headers: { connection: "close" } });
    expect(await listener.outcome()).toBe("malformed_request");
    expect(node.streams).toEqual([]);
    const next = attempt(node.endpoint);
    expect(await next.listener.outcome()).toBe("OK");
  });
});

describe("a cancelled attempt", () => {
  it("resets the node's stream with CANCEL and reports nothing more", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      const timer = setInterval(() => stream.write(chunkFrame("t")), 1);
      stream.once("close", () => clearInterval(timer));
    });
    const { attempt: cancelled, listener } = attempt(node.endpoint);
    await until(() => listener.pieces.length > 2);
    cancelled.cancel();
    const { length } = listener.pieces;
    await until(() => node.streams[0]?.closed === true);
    expect(node.streams[0]?.rstCode).toBe(constants.NGHTTP2_CANCEL);
    await quiet();
    expect(listener.pieces.length).toBe(length);
    expect(listener.ends).toEqual([]);
    cancelled.cancel();
  });

  it("resets the node's stream also while it is paused", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.write(chunkFrame("x".repeat(100)));
      stream.write(Buffer.alloc(4_000_000));
    });
    const { attempt: cancelled, listener } = attempt(node.endpoint);
    await until(() => listener.pieces.length > 0);
    cancelled.pause();
    await quiet(5);
    cancelled.cancel();
    await until(() => node.streams[0]?.rstCode === constants.NGHTTP2_CANCEL);
    await quiet();
    expect(listener.ends).toEqual([]);
  });

  it("never reaches the node when it was cancelled before it was connected", async () => {
    const node = await openNode(answers([doneFrame()]));
    const { attempt: cancelled, listener } = attempt(node.endpoint);
    await Promise.resolve();
    cancelled.cancel();
    await until(() => node.sessions.length === 1);
    await quiet();
    expect(node.streams).toEqual([]);
    expect(listener.ends).toEqual([]);
  });

  it("opens no connection when it was cancelled in the same turn", async () => {
    const node = await openNode(answers([doneFrame()]));
    const { attempt: cancelled } = attempt(node.endpoint);
    cancelled.cancel();
    await quiet();
    expect(node.sessions).toEqual([]);
  });

  it("may be cancelled within a report", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.write(Buffer.concat([chunkFrame("a"), chunkFrame("b").subarray(0, 7)]));
    });
    const { attempt: cancelled, listener } = attempt(node.endpoint);
    const { onMessages } = listener;
    listener.onMessages = (bytes, seen) => {
      onMessages.call(listener, bytes, seen);
      cancelled.cancel();
    };
    await until(() => node.streams[0]?.rstCode === constants.NGHTTP2_CANCEL);
    expect(listener.bytes).toEqual(chunkFrame("a"));
    expect(listener.ends).toEqual([]);
  });
});

describe("back-pressure", () => {
  it("stops reading at once and stops the node once the windows are full", async () => {
    const piece = frame(Buffer.alloc(16_000, 0x12));
    let isBlocked = false;
    const node = await openNode((stream) => {
      stream.respond(GRPC, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers(OK));
      let left = 500;
      const send = (): void => {
        while (left > 0) {
          left--;
          if (!stream.write(piece)) {
            isBlocked = true;
            stream.once("drain", () => {
              isBlocked = false;
              send();
            });
            return;
          }
        }
        stream.end();
      };
      send();
    });
    const { attempt: paused, listener } = attempt(node.endpoint);
    const { onMessages } = listener;
    listener.onMessages = (bytes, seen) => {
      onMessages.call(listener, bytes, seen);
      paused.pause();
    };
    await until(() => listener.pieces.length === 1 && isBlocked);
    await quiet();
    expect(listener.pieces.length).toBe(1);
    expect(isBlocked).toBe(true);
    listener.onMessages = onMessages;
    paused.resume();
    expect(await listener.outcome()).toBe("OK");
    expect(listener.bytes.length).toBe(500 * piece.length);
  });

  it("holds the end back until all was read", async () => {
    const node = await openNode(answers([chunkFrame("a"), chunkFrame("b"), doneFrame()]));
    const { attempt: paused, listener } = attempt(node.endpoint);
    paused.pause();
    await until(() => node.streams[0]?.closed === true || node.streams[0]?.writableFinished === true);
    await quiet();
    expect(listener.ends).toEqual([]);
    paused.resume();
    expect(await listener.outcome()).toBe("OK");
    expect(listener.bytes).toEqual(Buffer.concat([chunkFrame("a"), chunkFrame("b"), doneFrame()]));
  });

  it("does not hide a lost connection for ever", async () => {
    const node = await openNode((stream) => {
      stream.respond(GRPC);
      stream.write(chunkFrame("a"));
    });
    const { attempt: paused, listener } = attempt(node.endpoint);
    await until(() => listener.pieces.length === 1);
    paused.pause();
    node.streams[0]?.write(chunkFrame("b"));
    await quiet();
    node.killSockets();
    await quiet();
    paused.resume();
    expect(await listener.outcome()).toBe("node_unreachable");
  });
});
