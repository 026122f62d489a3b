import { expect, it } from "vitest";
import { Lifecycle } from "./lifecycle.ts";
import { createLogger, silentLogger } from "./log.ts";
import { SimClock } from "./sim-clock.ts";

it("stops parts in reverse order, one after the other, and only once", async () => {
  const clock = new SimClock();
  const lifecycle = new Lifecycle(clock, silentLogger);
  const order: string[] = [];
  lifecycle.onStop("first", () => void order.push("first"));
  lifecycle.onStop("second", async () => {
    await Promise.resolve();
    order.push("second");
  });
  expect(lifecycle.stopSignal.aborted).toBe(false);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  expect(order).toEqual(["second", "first"]);
  expect(lifecycle.stopSignal.aborted).toBe(true);
  expect(clock.pendingCount).toBe(0);
});

it("goes on without a part that hangs or fails, and says which", async () => {
  const lines: string[] = [];
  const clock = new SimClock();
  const log = createLogger({ name: "t", destination: { write: (line) => lines.push(line) } });
  const lifecycle = new Lifecycle(clock, log);
  const order: string[] = [];
  lifecycle.onStop("last", () => void order.push("last"));
  lifecycle.onStop("hangs", () => new Promise(() => undefined), { timeoutMs: 500 });
  lifecycle.onStop("throws", () => {
    throw new Error("broken");
  });
  lifecycle.onStop("rejects", () => Promise.reject(new Error("broken too")));
  const stopped = lifecycle.stop();
  await clock.advanceAsync(499);
  expect(order).toEqual([]);
  await clock.advanceAsync(1);
  await stopped;
  expect(order).toEqual(["last"]);
  expect(lines.map((line) => JSON.parse(line).part)).toEqual(["rejects", "throws", "hangs"]);
});

it("stops a part that started while the stop was under way", async () => {
  const lifecycle = new Lifecycle(new SimClock(), silentLogger);
  const order: string[] = [];
  lifecycle.onStop("first", () => {
    lifecycle.onStop("late", () => void order.push("late"));
  });
  await lifecycle.stop();
  lifecycle.onStop("later", () => void order.push("later"));
  await lifecycle.stop();
  expect(order).toEqual(["late", "later"]);
});

it("keeps the worst exit code", async () => {
  const lifecycle = new Lifecycle(new SimClock(), silentLogger);
  await lifecycle.stop(2);
  await lifecycle.stop(0);
  expect(lifecycle.exitCode).toBe(2);
});
