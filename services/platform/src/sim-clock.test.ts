import { expect, it } from "vitest";
import { SimClock } from "./sim-clock.ts";

it("runs what is due in order of time, then in the order in which it was set, each at its own time", () => {
  const clock = new SimClock(1000);
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${clock.nowMs()}`);
  clock.after(20, note("late"));
  clock.after(10, note("first"));
  clock.after(10, note("second"));
  clock.after(5, () => clock.after(5, note("nested")));
  clock.after(10, note("gone")).cancel();
  clock.advance(15);
  expect(ran).toEqual(["first@1010", "second@1010", "nested@1010"]);
  expect(clock.nowMs()).toBe(1015);
  expect(clock.pendingCount).toBe(1);
  clock.advance(5);
  expect(ran).toHaveLength(4);
});

it("lets promises run between the actions when asked", async () => {
  const clock = new SimClock();
  const ran: number[] = [];
  const loop = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      ran.push(clock.nowMs());
    }
  };
  const done = loop();
  await clock.advanceAsync(30);
  await done;
  expect(ran).toEqual([10, 20, 30]);
});
