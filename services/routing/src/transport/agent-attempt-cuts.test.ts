import { EventEmitter } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import { seededRng, systemClock } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { chunkFrame, doneFrame, frame, progressFrame } from "../testing/frames.ts";
import { RecordingListener } from "../testing/recording-listener.ts";
import { AgentAttempt } from "./agent-attempt.ts";
import type { PooledConnection } from "./pooled-connection.ts";
import { SessionPool } from "./session-pool.ts";

/**
 * What an attempt hears of its stream. Not a real one: HTTP/2 puts writes of one turn together, so that only events made by
 * hand come in exactly the wanted pieces, and only without sockets there is time for all of them.
 */
class PiecewiseStream extends EventEmitter {
  readonly rstCode = 0;
  readonly destroyed = false;
  isClosed = false;

  end(): void {}

  close(): void {
    this.isClosed = true;
  }
}

class OneStreamPool extends SessionPool {
  readonly stream = new PiecewiseStream();

  constructor() {
    super({ clock: systemClock, rng: seededRng(1) });
  }

  override acquire(_endpoint: string, callback: Parameters<SessionPool["acquire"]>[1]): void {
    const session = { request: () => this.stream as unknown as ClientHttp2Stream };
    callback(session as unknown as PooledConnection, undefined);
  }
}

/** An attempt that was sent these pieces, and its answer has not ended. */
async function received(pieces: readonly Uint8Array[]) {
  const pool = new OneStreamPool();
  const listener = new RecordingListener();
  new AgentAttempt(pool, { endpoint: "node:1", path: "/x", headers: {}, body: frame([1]) }, listener);
  await Promise.resolve();
  pool.stream.emit("response", { ":status": 200, "content-type": "application/grpc" }, 0);
  for (const piece of pieces) pool.stream.emit("data", piece);
  return { listener, stream: pool.stream };
}

/** The pieces of `bytes` when it is cut where a bit of `bits` is set. */
function cut(bytes: Buffer, bits: number): Buffer[] {
  const pieces: Buffer[] = [];
  let start = 0;
  for (let at = 1; at < bytes.length; at++) {
    if (((bits >> (at - 1)) & 1) === 0) continue;
    pieces.push(bytes.subarray(start, at));
    start = at;
  }
  if (start < bytes.length) pieces.push(bytes.subarray(start));
  return pieces;
}

const OK = { "grpc-status": "0" };

describe("an attempt's answer", () => {
  it("is whole messages and the same bytes for every way to cut a short stream", async () => {
    const answer = Buffer.concat([frame([0x0a]), frame([]), frame([0x1a])]);
    const expected = Buffer.concat([frame([0x0a]), frame([0x1a])]);
    for (let bits = 0; bits < 2 ** (answer.length - 1); bits++) {
      const { listener, stream } = await received(cut(answer, bits));
      stream.emit("trailers", OK);
      stream.emit("end");
      const isRight = listener.bytes.equals(expected) && listener.seen.hasDone && listener.ends[0]?.kind === "answered";
      if (!isRight) expect.fail(`cut ${bits.toString(2)}: ${listener.bytes.toString("hex")}`);
    }
  });

  it("that breaks off anywhere is the messages before and a failure, for every cut into three", async () => {
    const messages = [progressFrame("p"), chunkFrame("token"), frame([]), chunkFrame(), doneFrame("d")];
    const answer = Buffer.concat(messages);
    for (let length = 0; length < answer.length; length++) {
      const expected = wholeWithin(messages, length);
      for (let first = 0; first <= length; first++) {
        for (let second = first; second <= length; second++) {
          const pieces = [[0, first] as const, [first, second] as const, [second, length] as const];
          const { listener, stream } = await received(pieces.map(([from, to]) => answer.subarray(from, to)));
          stream.emit("close");
          const isRight = listener.bytes.equals(expected) && listener.ends[0]?.kind === "broken";
          if (!isRight) expect.fail(`cut at ${first}, ${second} of ${length}: ${listener.bytes.toString("hex")}`);
        }
      }
    }
  });

  it("that says OK within a message is a failure, wherever that is", async () => {
    const answer = chunkFrame("token");
    for (let length = 1; length < answer.length; length++) {
      const { listener, stream } = await received([answer.subarray(0, length)]);
      stream.emit("trailers", OK);
      stream.emit("end");
      expect(await listener.outcome(), `${length} bytes`).toBe("node_protocol_error");
      expect(stream.isClosed).toBe(true);
    }
  });
});

function wholeWithin(messages: readonly Buffer[], length: number): Buffer {
  const whole: Buffer[] = [];
  let end = 0;
  for (const message of messages) {
    end += message.length;
    if (end <= length && message.length > 5) whole.push(message);
  }
  return Buffer.concat(whole);
}
