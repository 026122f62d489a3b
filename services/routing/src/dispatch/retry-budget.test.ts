import { SimClock } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { RetryBudget } from "./retry-budget.ts";

function spend(budget: RetryBudget): number {
  let taken = 0;
  while (taken < 1_000 && budget.withdraw()) taken++;
  return taken;
}

describe("RetryBudget", () => {
  it("gives a quiet router three retries in 10 s", () => {
    const clock = new SimClock();
    const budget = new RetryBudget({ clock });
    expect(spend(budget)).toBe(3);
    clock.advance(8_999);
    expect(spend(budget)).toBe(0);
    clock.advance(1_001);
    expect(spend(budget)).toBe(3);
  });

  it("gives a retry for each five calls on top", () => {
    const budget = new RetryBudget({ clock: new SimClock() });
    for (let call = 0; call < 100; call++) budget.deposit();
    expect(spend(budget)).toBe(23);
  });

  it("forgets calls after 10 s", () => {
    const clock = new SimClock();
    const budget = new RetryBudget({ clock });
    for (let call = 0; call < 100; call++) budget.deposit();
    clock.advance(10_000);
    expect(spend(budget)).toBe(3);
  });

  it("is not thrown off by a pause of any length", () => {
    const clock = new SimClock();
    const budget = new RetryBudget({ clock });
    for (const pauseMs of [0, 10_000, 25_000, 3_600_000, 11_000]) {
      clock.advance(pauseMs);
      expect(spend(budget)).toBe(3);
    }
  });

  it("never gives more than its share over any 10 s of steady traffic", () => {
    const clock = new SimClock();
    const budget = new RetryBudget({ clock });
    const taken: number[] = [];
    for (let second = 0; second < 60; second++) {
      for (let call = 0; call < 10; call++) {
        budget.deposit();
        if (budget.withdraw()) taken.push(second);
        clock.advance(100);
      }
    }
    for (let second = 10; second < 60; second++) {
      const inWindow = taken.filter((at) => at > second - 10 && at <= second).length;
      expect(inWindow).toBeLessThanOrEqual(3 + 100 * 0.2);
    }
    expect(taken.length).toBeGreaterThan(600 * 0.2 - 3);
  });

  it("takes other shares", () => {
    const budget = new RetryBudget({ clock: new SimClock(), ratio: 1, reserve: 0 });
    expect(spend(budget)).toBe(0);
    budget.deposit();
    expect(spend(budget)).toBe(1);
  });
});
