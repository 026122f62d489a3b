import { describe, expect, it } from "vitest";
import { sleep, systemClock } from "./clock.ts";
import { SimClock } from "./sim-clock.ts";

describe("sleep", () => {
  it("resolves when its time has come, and leaves nothing behind", async () => {
    const clock = new SimClock();
    let isAwake = false;
    const asleep = sleep(clock, 100).then(() => {
      isAwake = true;
    });
    await clock.advanceAsync(99);
    expect(isAwake).toBe(false);
    await clock.advanceAsync(1);
    await asleep;
    expect(clock.pendingCount).toBe(0);
  });

  it("resolves at once when its signal aborts, before or during", async () => {
    const clock = new SimClock();
    await sleep(clock, 100, AbortSignal.abort());
    const controller = new AbortController();
    const asleep = sleep(clock, 100, controller.signal);
    expect(clock.pendingCount).toBe(1);
    controller.abort();
    await asleep;
    expect(clock.pendingCount).toBe(0);
  });
});

describe("systemClock", () => {
  it("does not fire at once for delays beyond what setTimeout takes, and cancels", async () => {
    const fired: string[] = [];
    const far = systemClock.after(1e12, () => fired.push("far"));
    const cancelled = systemClock.after(0, () => fired.push("cancelled"));
    cancelled.cancel();
    await new Promise<void>((resolve) => systemClock.after(-5, resolve));
    far.cancel();
    far.cancel();
    expect(fired).toEqual([]);
  });

  it("measures forwards", () => {
    const before = systemClock.nowMs();
    expect(systemClock.nowMs()).toBeGreaterThanOrEqual(before);
    expect(systemClock.wallMs()).toBeGreaterThan(1.7e12);
  });
});
