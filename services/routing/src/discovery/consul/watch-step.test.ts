import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FIRST_STATE, noteAsked, type Outcome, questionOf, step, type WatchState } from "./watch-step.ts";

const list = (index: string | undefined): Outcome => ({ kind: "list", index });
const broken: Outcome = { kind: "broken", reason: "reset" };

function after(state: WatchState, outcome: Outcome, random = 1) {
  return step(state, outcome, 0, random);
}

describe("a watch", () => {
  it("asks at once first, then waits for what is newer than the answer", () => {
    expect(questionOf(FIRST_STATE)).toEqual({ index: "0", deadlineMs: 10_000 });
    const { state, verdict } = after(FIRST_STATE, list("7"));
    expect(verdict).toEqual({ kind: "apply", isRegressed: false });
    expect(questionOf(state)).toEqual({ index: "7", deadlineMs: 31_562.5 });
  });

  it("keeps indexes that no double holds", () => {
    const { state } = after(FIRST_STATE, list("10082146174487049813"));
    expect(questionOf(state).index).toBe("10082146174487049813");
    expect(after(state, list("10082146174487049812")).verdict).toEqual({ kind: "apply", isRegressed: true });
  });

  it("begins anew when the index goes backwards, and says so", () => {
    const { state } = after(FIRST_STATE, list("900"));
    const back = after(state, list("12"));
    expect(back.verdict).toEqual({ kind: "apply", isRegressed: true });
    expect(questionOf(back.state).index).toBe("0");
  });

  it("takes an index of 0 as 1, since 0 would be answered at once for ever", () => {
    expect(questionOf(after(FIRST_STATE, list("0")).state).index).toBe("1");
  });

  it.each([undefined, "", "abc", "-1", "1.5", "9".repeat(21)])("takes the index %o for a proxy's answer", (index) => {
    const { verdict } = after(FIRST_STATE, list(index));
    expect(verdict).toMatchObject({ kind: "trouble", trouble: { kind: "outage" } });
  });

  it("asks with index 0 after a failure", () => {
    const { state } = after(FIRST_STATE, list("7"));
    expect(questionOf(after(state, broken).state).index).toBe("0");
  });

  it("backs off from 0.2 to 10 s while it fails, and forgets that with the first answer", () => {
    let state = FIRST_STATE;
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      const next = after(state, broken);
      pauses.push(next.pauseMs);
      state = next.state;
    }
    expect(pauses).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    expect(after(after(state, list("1")).state, broken).pauseMs).toBe(200);
  });

  it("spreads routers that lost the same Consul over the whole pause", () => {
    expect(after(FIRST_STATE, broken, 0).pauseMs).toBe(0);
    expect(after(FIRST_STATE, broken, 0.5).pauseMs).toBe(100);
  });

  it.each([
    [400, "settings", 10_000],
    [401, "settings", 10_000],
    [403, "settings", 10_000],
    [404, "settings", 10_000],
    [301, "settings", 10_000],
    [429, "outage", 0],
    [500, "outage", 0],
    [503, "outage", 0],
  ] as const)("takes HTTP %i as %s", (status, kind, pauseMs) => {
    const next = after(FIRST_STATE, { kind: "refused", status }, 0);
    expect(next.verdict).toMatchObject({ kind: "trouble", trouble: { kind } });
    expect(next.pauseMs).toBe(pauseMs);
  });

  it("asks at most twice at once and then once a second, whatever is answered", () => {
    const outcomes = fc.oneof(
      fc.constant(broken),
      fc.constant<Outcome>({ kind: "refused", status: 500 }),
      fc.bigInt({ min: 0n, max: 2n ** 63n }).map((index) => list(index.toString())),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(outcomes, fc.nat(300)), { maxLength: 60 }), (answers) => {
        let state = FIRST_STATE;
        let nowMs = 0;
        const askedMs: number[] = [];
        for (const [outcome, tookMs] of answers) {
          askedMs.push(nowMs);
          state = noteAsked(state, nowMs);
          nowMs += tookMs;
          const next = step(state, outcome, nowMs, 0);
          state = next.state;
          nowMs += next.pauseMs;
        }
        const within = (sinceMs: number): number =>
          askedMs.filter((ms) => ms >= sinceMs && ms < sinceMs + 1_000).length;
        return askedMs.every((ms) => within(ms) <= 2) && askedMs.length <= nowMs / 1_000 + 2;
      }),
    );
  });
});
