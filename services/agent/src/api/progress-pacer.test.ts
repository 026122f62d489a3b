import { SimClock } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { createProgressPacer } from "./progress-pacer.ts";

const never = new Promise<void>(() => undefined);

async function dueTimes(clock: SimClock, isWanted: boolean, untilMs: number): Promise<number[]> {
  const pacer = createProgressPacer(clock, isWanted);
  const times: number[] = [];
  const run = async (): Promise<void> => {
    while ((await pacer.wait(never)) === "due") times.push(clock.nowMs());
  };
  run().catch(() => undefined);
  await clock.advanceAsync(untilMs);
  return times;
}

describe("the pace of progress", () => {
  test("is a message after 2 s of silence, then one every 10 s", async () => {
    expect(await dueTimes(new SimClock(), true, 35_000)).toEqual([2_000, 12_000, 22_000, 32_000]);
  });

  test("has a message at once when what was said is no longer true, and then one every 10 s again", async () => {
    const clock = new SimClock();
    const pacer = createProgressPacer(clock, true);
    const times: number[] = [];
    const first = pacer.wait(never);
    await clock.advanceAsync(5_000);
    expect(await first).toBe("due");
    pacer.changed();
    for (let i = 0; i < 2; i++) {
      const next = pacer.wait(never).then(() => times.push(clock.nowMs()));
      await clock.advanceAsync(10_000);
      await next;
    }
    expect(times).toEqual([5_000, 15_000]);
  });

  test("is not hastened by a change before anything was said", async () => {
    const clock = new SimClock();
    const pacer = createProgressPacer(clock, true);
    await clock.advanceAsync(500);
    pacer.changed();
    let isDue = false;
    void pacer.wait(never).then(() => {
      isDue = true;
    });
    await clock.advanceAsync(1_499);
    expect(isDue).toBe(false);
    await clock.advanceAsync(1);
    expect(isDue).toBe(true);
  });

  test("is silence where progress is not wanted", async () => {
    expect(await dueTimes(new SimClock(), false, 100_000)).toEqual([]);
  });

  test("ends with the work, whether it succeeds or fails, and leaves no timer", async () => {
    const clock = new SimClock();
    const pacer = createProgressPacer(clock, true);
    expect(await pacer.wait(Promise.resolve())).toBe("settled");
    expect(await pacer.wait(Promise.reject(new Error("failed")))).toBe("settled");
    expect(clock.pendingCount).toBe(0);
  });
});
