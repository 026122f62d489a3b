import { SimClock } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { LookedUpList } from "./looked-up-list.ts";

const MAX_AGE_MS = 5_000;
const MIN_INTERVAL_MS = 1_000;

function bench(...answers: (readonly string[] | Error)[]) {
  const clock = new SimClock();
  const asked: number[] = [];
  const list = new LookedUpList({
    clock,
    maxAgeMs: MAX_AGE_MS,
    minIntervalMs: MIN_INTERVAL_MS,
    lookUp: async () => {
      const answer = answers[Math.min(asked.length, answers.length - 1)];
      asked.push(clock.nowMs());
      if (answer instanceof Error || answer === undefined) throw answer;
      return answer;
    },
  });
  return { clock, asked, list };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("a list that is looked up", () => {
  it("is asked for at the first call, once for all that come together", async () => {
    const { asked, list } = bench(["a"]);
    expect(asked).toEqual([]);
    expect(await Promise.all([list.urls(), list.urls()])).toEqual([["a"], ["a"]]);
    expect(asked).toHaveLength(1);
  });

  it("is at hand at once afterwards, and asked for again beside the calls when it is old", async () => {
    const { clock, asked, list } = bench(["a"], ["b"]);
    await list.urls();
    clock.advance(MAX_AGE_MS - 1);
    expect(list.urls()).toEqual(["a"]);
    clock.advance(1);
    expect(list.urls()).toEqual(["a"]);
    await settled();
    expect(list.urls()).toEqual(["b"]);
    expect(asked).toEqual([0, MAX_AGE_MS]);
  });

  it("keeps what was known when the question fails", async () => {
    const { clock, list } = bench(["a"], new Error("away"));
    await list.urls();
    clock.advance(MAX_AGE_MS * 1_000);
    expect(await list.freshUrls()).toEqual(["a"]);
  });

  it("fails with the last answer while nothing is known, and asks once a second at most", async () => {
    const { clock, asked, list } = bench(new Error("away"), ["a"]);
    await expect(list.urls()).rejects.toThrow("away");
    for (let call = 0; call < 100; call++) await expect(list.urls()).rejects.toThrow("away");
    expect(asked).toHaveLength(1);
    clock.advance(MIN_INTERVAL_MS);
    expect(await list.urls()).toEqual(["a"]);
  });

  it("is asked for afresh when somebody wants that, but not more often than once a second", async () => {
    const { clock, asked, list } = bench(["a"], ["b"]);
    await list.urls();
    expect(await list.freshUrls()).toEqual(["a"]);
    clock.advance(MIN_INTERVAL_MS);
    expect(await list.freshUrls()).toEqual(["b"]);
    expect(asked).toHaveLength(2);
  });

  it("sets no timer", async () => {
    const { clock, list } = bench(["a"]);
    await list.urls();
    list.close();
    expect(clock.pendingCount).toBe(0);
  });
});
