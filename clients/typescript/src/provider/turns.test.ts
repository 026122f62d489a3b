import { SimClock } from "@drover/platform";
import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("lets the next one choose when all is done that follows at once from the choice before, good or bad", async () => {
  const clock = new SimClock();
  const turns = new Turns(clock);
  const seen: string[] = [];
  const choose = async (name: string): Promise<void> => {
    await turns.take(async () => void seen.push(`${name} chooses`));
    seen.push(`${name} sends`);
  };
  const failing = turns.take(() => Promise.reject(new Error("nobody")));
  const ends = Promise.allSettled([choose("a"), failing, choose("b")]);
  await clock.advanceAsync(0);
  expect(await ends).toMatchObject([{ status: "fulfilled" }, { status: "rejected" }, { status: "fulfilled" }]);
  expect(seen).toEqual(["a chooses", "a sends", "b chooses", "b sends"]);
  expect(clock.pendingCount).toBe(0);
});

it("waits a second at most for one that hangs", async () => {
  const clock = new SimClock();
  const turns = new Turns(clock);
  void turns.take(() => new Promise(() => undefined));
  let hasChosen = false;
  const next = turns.take(async () => {
    hasChosen = true;
  });
  await clock.advanceAsync(999);
  expect(hasChosen).toBe(false);
  await clock.advanceAsync(1);
  await next;
});

it.each([
  ["its signal aborts", { signal: AbortSignal.abort() }, 0],
  ["its deadline passes", { timeoutMs: 30 }, 30],
])("keeps nobody waiting when %s", async (_, call, afterMs) => {
  const clock = new SimClock();
  const turns = new Turns(clock);
  void turns.take(() => new Promise(() => undefined));
  const next = turns.take(async () => clock.nowMs(), call);
  const beganMs = clock.nowMs();
  await clock.advanceAsync(999);
  expect(await next).toBe(beganMs + afterMs);
  expect(clock.pendingCount).toBe(0);
});
