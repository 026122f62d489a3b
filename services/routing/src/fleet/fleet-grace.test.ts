import { type Clock, SimClock, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { Fleet } from "./fleet.ts";
import { pendingEndpoints } from "./snapshot.ts";

describe("an endpoint that never answers", () => {
  it("is no longer waited for when the fleet says so, even on a clock whose timers fire early", async () => {
    const sim = new SimClock();
    const early: Clock = {
      nowMs: () => sim.nowMs(),
      wallMs: () => sim.wallMs(),
      after: (delayMs, action) => sim.after(delayMs - 1, action),
    };
    const openLink = () => ({ close: () => undefined });
    const fleet = new Fleet({ clock: early, log: silentLogger, openLink, sources: ["static"] });
    fleet.apply("static", { kind: "reset", members: [{ endpoint: "a:1" }] });
    await sim.advanceAsync(0);
    const pending: number[] = [];
    fleet.onChange(() => pending.push(pendingEndpoints(fleet.snapshot, early.nowMs()).length));
    await sim.advanceAsync(6_000);
    expect(pending).toEqual([0]);
    fleet.close();
  });
});
