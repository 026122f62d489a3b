import { SimClock } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { CallTimes } from "./call-times.ts";

describe("where the time of a call went", () => {
  test("queue, load, prefill and decode add up to the whole", () => {
    const clock = new SimClock(100);
    const times = new CallTimes(clock, () => 700);
    clock.advance(1_000);
    times.granted();
    clock.advance(2_000);
    times.firstToken(clock.nowMs());
    clock.advance(4_000);
    times.ended();
    clock.advance(9_000);
    expect(times).toMatchObject({
      queueMs: 300,
      loadMs: 700,
      prefillMs: 2_000,
      decodeMs: 4_000,
      ttftMs: 3_000,
      totalMs: 7_000,
    });
    expect(times.describe()).toBe("queue 300 ms, load 700 ms, prefill 2.0 s, decode 4.0 s");
  });

  test("a call that never had a slot spent all of its time in the queue", () => {
    const clock = new SimClock();
    const times = new CallTimes(clock, () => 0);
    clock.advance(1_500);
    expect(times).toMatchObject({ queueMs: 1_500, prefillMs: 0, decodeMs: 0, ttftMs: undefined });
  });

  test("a call stands in one phase; before its slot in the one that took most of the time", () => {
    const clock = new SimClock();
    let loadMs = 0;
    const times = new CallTimes(clock, () => loadMs);
    clock.advance(1_000);
    expect(times.phase).toBe("queue");
    loadMs = 600;
    expect(times.phase).toBe("load");
    times.granted();
    expect(times.phase).toBe("prefill");
    times.firstToken(clock.nowMs());
    expect(times.phase).toBe("decode");
  });
});
