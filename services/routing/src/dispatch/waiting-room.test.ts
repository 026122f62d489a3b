import { SimClock } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { FakeFleet } from "../testing/fake-fleet.ts";
import { PausableClock } from "../testing/pausable-clock.ts";
import { WAITING_MAX, WaitingRoom } from "./waiting-room.ts";

function createRoom(clock = new SimClock()) {
  const fake = new FakeFleet();
  fake.discover("a:1");
  fake.attach("a:1");
  const room = new WaitingRoom(fake.fleet, clock);
  let sent = 0n;
  const change = async () => {
    fake.status("a:1", { ackedSend: ++sent });
    await Promise.resolve();
  };
  return { room, clock, change };
}

describe("WaitingRoom", () => {
  it("lets everyone look again at once when the fleet changes", async () => {
    const { room, change } = createRoom();
    const looks: string[] = [];
    for (const name of ["a", "b"]) room.enter(() => looks.push(name), "m");
    await change();
    expect(looks).toEqual(["a", "b"]);
  });

  it("lets who is in it enter again without losing its place, also when it is full", () => {
    const { room } = createRoom();
    const looks = Array.from({ length: WAITING_MAX }, () => () => undefined);
    expect(looks.every((look) => room.enter(look, "m"))).toBe(true);
    expect([room.enter(() => undefined, "m"), room.enter(looks[7] as () => void, "m")]).toEqual([false, true]);
    expect(room.ahead(looks[7] as () => void)).toBe(7);
  });

  it("makes of many changes a few looks, and never forgets the last change", async () => {
    const { room, clock, change } = createRoom();
    let looks = 0;
    room.enter(() => looks++, "m");
    for (let changes = 0; changes < 500; changes++) {
      await change();
      clock.advance(2);
    }
    expect(looks).toBeGreaterThan(45);
    expect(looks).toBeLessThanOrEqual(51);
    await change();
    const before = looks;
    clock.advance(20);
    expect(looks).toBe(before + 1);
    clock.advance(1_000);
    expect(looks).toBe(before + 1);
  });

  it("spends at most a tenth of the time on looking, however many wait", async () => {
    const clock = new PausableClock();
    const { room, change } = createRoom(clock);
    let looks = 0;
    room.enter(() => {
      looks++;
      clock.pause(100);
    }, "m");
    for (let changes = 0; changes < 1_000; changes++) {
      await change();
      clock.advance(10);
    }
    // 10 s passed outside of the looks.
    expect(looks).toBeGreaterThanOrEqual(10);
    expect(looks * 100).toBeLessThanOrEqual(0.1 * clock.nowMs() + 100);
  });

  it("leaves no timer once nobody waits", async () => {
    const { room, clock, change } = createRoom();
    const look = () => undefined;
    room.enter(look, "m");
    await change();
    expect(clock.pendingCount).toBe(1);
    room.leave(look);
    expect(clock.pendingCount).toBe(0);
    const leaving = () => room.leave(leaving);
    room.enter(leaving, "m");
    await change();
    expect(clock.pendingCount).toBe(0);
    room.enter(look, "m");
    await change();
    room.close();
    expect(clock.pendingCount).toBe(0);
  });
});
