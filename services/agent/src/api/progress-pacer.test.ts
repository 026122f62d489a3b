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
