import { EventEmitter } from "node:events";
import http2 from "node:http2";
import { beforeEach, describe, expect, it } from "vitest";
import { SimClock } from "../sim-clock.ts";
import { UnreadAnswers, type WatchedStream } from "./unread-answers.ts";

class FakeStream extends EventEmitter {
  bufferSize = 0;
  closedWith: number | undefined;
  close(code: number): void {
    this.closedWith = code;
    this.emit("close");
  }
}

let clock: SimClock;
let answers: UnreadAnswers;
beforeEach(() => {
  clock = new SimClock();
  answers = new UnreadAnswers({ clock, patienceMs: 60_000 });
});

function watched(bufferSize: number): FakeStream {
  const stream = new FakeStream();
  stream.bufferSize = bufferSize;
  answers.watch(stream as unknown as WatchedStream);
  return stream;
}

describe("UnreadAnswers", () => {
  it("resets a stream whose bytes have not moved for a minute, and none with nothing to read", () => {
    const [stuck, waiting] = [watched(100), watched(0)];
    clock.advance(60_000);
    expect(stuck.closedWith).toBeUndefined();
    clock.advance(30_000);
    expect(stuck.closedWith).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    clock.advance(3_600_000);
    expect(waiting.closedWith).toBeUndefined();
  });

  it("leaves a slow reader alone, also when as many bytes lie there each time", () => {
    const [slow, refilled] = [watched(1_000), watched(1_000)];
    for (let i = 0; i < 100; i++) {
      clock.advance(15_000);
      slow.bufferSize -= 1;
      refilled.emit("drain");
    }
    expect([slow.closedWith, refilled.closedWith]).toEqual([undefined, undefined]);
  });

  it("gives megabytes longer: they are one write that tells nothing until all of it is sent", () => {
    const large = watched(8 * 600_000);
    clock.advance(600_000);
    expect(large.closedWith).toBeUndefined();
    clock.advance(90_000);
    expect(large.closedWith).toBeDefined();
  });

  it("keeps neither a stream nor a timer when the last one is closed", () => {
    const stream = watched(1);
    stream.emit("close");
    expect([answers.size, clock.pendingCount]).toEqual([0, 0]);
    watched(1);
    expect(clock.pendingCount).toBe(1);
  });
});
