import { describe, expect, it } from "vitest";
import { RunningCalls } from "./running-calls.ts";

describe("RunningCalls", () => {
  it("are idle at once while there are none", async () => {
    await new RunningCalls().idle();
  });

  it("are idle when the last has ended, each time anew", async () => {
    const calls = new RunningCalls();
    for (let round = 0; round < 2; round++) {
      const [first, second] = [calls.begin(), calls.begin()];
      let isIdle = false;
      const idle = calls.idle().then(() => {
        isIdle = true;
      });
      first();
      await Promise.resolve();
      expect([calls.count, isIdle]).toEqual([1, false]);
      second();
      await idle;
      expect([calls.count, isIdle]).toEqual([0, true]);
    }
  });
});
