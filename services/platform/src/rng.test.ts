import { expect, it } from "vitest";
import { randomId, randomSecret, seededRng, systemRng } from "./rng.ts";

it("repeats itself with the same seed and only then", () => {
  const draw = (seed: number): number[] => {
    const rng = seededRng(seed);
    return Array.from({ length: 5 }, () => rng.next());
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

it("is spread evenly over [0, 1)", () => {
  const rng = seededRng(1);
  const buckets = Array.from({ length: 10 }, () => 0);
  for (let draw = 0; draw < 10_000; draw++) {
    const value = rng.next();
    expect(value >= 0 && value < 1).toBe(true);
    const bucket = Math.floor(value * 10);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  for (const count of buckets) expect(count).toBeGreaterThan(850);
  expect(systemRng.next()).toBeLessThan(1);
});

it("makes secrets and ids that differ", () => {
  expect(randomSecret()).toMatch(/^[0-9a-f]{32}$/);
  expect(randomId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(new Set([randomSecret(), randomSecret(), randomId(), randomId()]).size).toBe(4);
});
