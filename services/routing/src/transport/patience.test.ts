import { describe, expect, it } from "vitest";
import { PausableClock } from "../testing/pausable-clock.ts";
import { patience } from "./patience.ts";

function begin() {
  const clock = new PausableClock();
  let ends = 0;
  const timer = patience(clock, 10_000, () => ends++);
  return { clock, timer, ends: () => ends };
}

describe("patience", () => {
  it("ends once, after its limit", () => {
    const { clock, ends } = begin();
    clock.advance(9_999);
    expect(ends()).toBe(0);
    clock.advance(60_000);
    expect(ends()).toBe(1);
  });

  it("begins anew after a pause of this process, and then ends", () => {
    const { clock, ends } = begin();
    clock.advance(5_000);
    clock.pause(60_000);
    clock.advance(5_000);
    expect(ends()).toBe(0);
    clock.advance(9_999);
    expect(ends()).toBe(0);
    clock.advance(1);
    expect(ends()).toBe(1);
  });

  it("leaves no timer when it is cancelled, also after a pause", () => {
    const { clock, timer, ends } = begin();
    clock.pause(60_000);
    clock.advance(10_000);
    timer.cancel();
    expect(clock.pendingCount).toBe(0);
    expect(ends()).toBe(0);
  });
});
