import { describe, expect, it } from "vitest";
import { keyOf, MODEL, nodeView } from "../testing/node-views.ts";
import { PausableClock } from "../testing/pausable-clock.ts";
import { HANG_DEFAULTS } from "./hang-options.ts";
import { type Hang, HangWatch, type WatchEvents } from "./hang-watch.ts";
import { StatusSigns } from "./work-signs.ts";

function watched(events: (clock: PausableClock) => Partial<WatchEvents> = () => ({})) {
  const clock = new PausableClock();
  const hangs: Hang[] = [];
  const watch = new HangWatch(clock, HANG_DEFAULTS, 0, {
    isAgentSilent: () => false,
    onHung: (hang) => hangs.push(hang),
    ...events(clock),
  });
  return { clock, hangs, watch };
}

describe("a watch over an attempt", () => {
  it("tells every second that it hangs, until the agent says otherwise", () => {
    const { clock, hangs, watch } = watched();
    clock.advance(7_000);
    expect(hangs).toEqual(["nothing-said", "nothing-said", "nothing-said"]);
    watch.heard({ kind: "waits" });
    clock.advance(14_000);
    expect(hangs.length).toBe(3);
  });

  it("leaves no timer when it is stopped", () => {
    const { clock, watch } = watched();
    clock.advance(1_500);
    watch.stop();
    watch.stop();
    expect(clock.pendingCount).toBe(0);
  });

  it("holds nothing against a node that happened while this process stood still", () => {
    const { clock, hangs, watch } = watched();
    clock.advance(2_000);
    watch.heard({ kind: "reads", elapsedMs: 2_000, expectedMs: 100 });
    clock.pause(60_000);
    clock.advance(5_000);
    expect(hangs).toEqual([]);
    clock.advance(1_000);
    expect(hangs).toEqual(["slot-quiet"]);
  });

  it("holds nothing against a node whose status it could not read while this process stood still", () => {
    const status = new StatusSigns(keyOf(MODEL), 100);
    const { clock, hangs } = watched((own) => ({
      look: (wasPaused) => status.look(nodeView("a"), own.nowMs(), wasPaused),
    }));
    clock.advance(2_000);
    clock.pause(60_000);
    clock.advance(6_000);
    expect(hangs).toEqual([]);
    clock.advance(2_000);
    expect(hangs[0]).toBe("slot-quiet");
  });
});
