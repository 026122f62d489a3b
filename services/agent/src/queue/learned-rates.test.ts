import { describe, expect, test } from "vitest";
import { LearnedRates } from "./learned-rates.ts";

const prompt = (promptTokens: number, prefillMs: number) => ({ promptTokens, prefillMs, tokens: 0, decodeMs: 0 });
const answer = (tokens: number, decodeMs: number) => ({ promptTokens: 0, prefillMs: 0, tokens, decodeMs });

describe("the rates of a runner", () => {
  test("are not known until they were measured", () => {
    expect(new LearnedRates().snapshot()).toEqual({
      prefillTokensPerSecond: undefined,
      msPerToken: [],
      loadMs: undefined,
    });
  });

  test("of reading follow what Ollama measures, the newest with three tenths", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(prompt(1_000, 10_000), 0);
    expect(rates.snapshot().prefillTokensPerSecond).toBe(100);
    rates.learnAnswer(prompt(1_000, 20_000), 0);
    expect(rates.promptMsPerToken).toBeCloseTo(13);
    for (let i = 0; i < 20; i++) rates.learnAnswer(prompt(1_000, 20_000), 0);
    expect(rates.snapshot().prefillTokensPerSecond).toBeCloseTo(50, 0);
  });

  test("of reading are not learned from prompts in the cache, nor from short ones", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(prompt(63, 1), 0);
    expect(rates.promptMsPerToken).toBeUndefined();
    rates.learnAnswer(prompt(1_000, 10_000), 0);
    for (let i = 0; i < 50; i++) rates.learnAnswer(prompt(2_000, 54), 0);
    rates.learnAnswer(prompt(10, 5_000), 0);
    expect(rates.promptMsPerToken).toBe(10);
  });

  test("of reading recover from a first prompt that was in the cache", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(prompt(1_000, 5), 0);
    for (let i = 0; i < 4; i++) rates.learnAnswer(prompt(1_000, 10_000), 0);
    expect(rates.snapshot().prefillTokensPerSecond).toBeLessThan(135);
  });

  test("of reading that were learned too slow are put right by the first prompt after a load", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(prompt(64, 6_400), 0);
    rates.learnLoad(500);
    rates.learnAnswer(prompt(1_000, 1_000), 0);
    expect(rates.promptMsPerToken).toBe(1);
    rates.learnAnswer(prompt(1_000, 10), 0);
    expect(rates.promptMsPerToken).toBe(1);
  });

  test("of writing are told apart by how many others run", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(answer(100, 1_000), 0);
    rates.learnAnswer(answer(100, 3_000), 3);
    rates.learnAnswer(answer(100, 9_000), undefined);
    rates.learnAnswer(answer(7, 9_000), 0);
    expect(rates.snapshot().msPerToken).toEqual([10, 10, 10, 30]);
    rates.learnAnswer(answer(100, 2_000), 0);
    expect(rates.snapshot().msPerToken[0]).toBeCloseTo(13);
  });

  test("of writing where the fewest others were never seen stand as the next known", () => {
    const rates = new LearnedRates();
    rates.learnAnswer(answer(100, 2_000), 1);
    expect(rates.snapshot().msPerToken).toEqual([20, 20]);
  });

  test("of writing are kept for 64 numbers of others at most", () => {
    const rates = new LearnedRates();
    for (let others = 0; others < 500; others++) rates.learnAnswer(answer(100, 1_000), others);
    expect(rates.snapshot().msPerToken).toHaveLength(64);
  });

  test("of holding a slot are told from the third call on", () => {
    const rates = new LearnedRates();
    rates.learnHold(1_000);
    rates.learnHold(1_000);
    expect(rates.holdMs).toBeUndefined();
    rates.learnHold(2_000);
    expect(rates.holdMs).toBeCloseTo(1_300);
  });

  test("of loading follow the loads", () => {
    const rates = new LearnedRates();
    rates.learnLoad(1_000);
    rates.learnLoad(2_000);
    expect(rates.loadMs).toBeCloseTo(1_300);
  });
});
