import { describe, expect, it } from "vitest";
import { PausableClock } from "../testing/pausable-clock.ts";
import { SilenceWatch } from "./silence-watch.ts";

function watch() {
  const clock = new PausableClock();
  const ticks: { atMs: number; silentBeforeMs: number }[] = [];
  const own = new SilenceWatch({
    clock,
    onTick: (silentBeforeMs) => ticks.push({ atMs: clock.nowMs(), silentBeforeMs }),
  });
  return { clock, ticks, own };
}

describe("SilenceWatch", () => {
  it("says every quarter of a second what counts as silence: 3 s without a word", () => {
    const { clock, ticks, own } = watch();
    clock.advance(4_000);
    expect(ticks.map(({ atMs }) => atMs)).toEqual([3_000, 3_250, 3_500, 3_750, 4_000]);
    for (const { atMs, silentBeforeMs } of ticks) expect(silentBeforeMs).toBe(atMs - 3_000);
    own.stop();
  });

  it("holds nothing against anyone for 3 s after its own pause", () => {
    const { clock, ticks, own } = watch();
    clock.advance(10_000);
    clock.pause(60_000);
    ticks.length = 0;
    clock.advance(250);
    const resumedMs = clock.nowMs();
    expect(ticks).toEqual([]);
    clock.advance(10_000);
    expect(ticks[0]?.atMs).toBeGreaterThanOrEqual(resumedMs + 2_750);
    expect(ticks[0]?.atMs).toBeLessThanOrEqual(resumedMs + 3_250);
    own.stop();
  });

  it("does not take a busy moment for a pause", () => {
    const { clock, ticks, own } = watch();
    clock.advance(10_000);
    ticks.length = 0;
    clock.pause(700);
    clock.advance(250);
    expect(ticks.length).toBeGreaterThan(0);
    own.stop();
  });

  it("leaves no timer when it is stopped", () => {
    const { clock, ticks, own } = watch();
    clock.advance(5_000);
    own.stop();
    ticks.length = 0;
    expect(clock.pendingCount).toBe(0);
    clock.advance(5_000);
    expect(ticks).toEqual([]);
  });
});
