import { describe, expect, it } from "vitest";
import { HEALTH_DEFAULTS } from "./health-options.ts";
import { admitsCall, HEALTHY, type SubjectEvent, type SubjectState, stepSubject } from "./subject-state.ts";

const fail = (atMs = 0, mayEject = true): SubjectEvent => ({ kind: "failed", atMs, mayEject });
const succeed = (slots = 1): SubjectEvent => ({ kind: "succeeded", slots });
const CANARY: SubjectEvent = { kind: "canary-began" };

function after(...events: readonly SubjectEvent[]): SubjectState {
  return events.reduce<SubjectState>((state, event) => stepSubject(state, event, HEALTH_DEFAULTS), HEALTHY);
}

const five = Array.from({ length: 5 }, () => fail());

describe("ejection", () => {
  it("comes with the fifth failure in a row, for 60 s", () => {
    expect(after(...five.slice(1)).kind).toBe("healthy");
    expect(after(...five)).toEqual({ kind: "ejected", untilMs: 60_000, ejections: 1 });
  });

  it("begins to count anew after a success", () => {
    expect(after(...five.slice(1), succeed(), ...five.slice(1)).kind).toBe("healthy");
  });

  it("does not come while too many others are ejected, and comes with the next failure that may", () => {
    const spared = after(...five.slice(1), fail(0, false), fail(0, false));
    expect(spared).toEqual({ kind: "healthy", failures: 5 });
    expect(stepSubject(spared, fail(7), HEALTH_DEFAULTS).kind).toBe("ejected");
  });

  it("admits nobody until its time is over, then one canary and nobody beside it", () => {
    const ejected = after(...five);
    expect(admitsCall(ejected, 0, 59_999)).toBe(false);
    expect(admitsCall(ejected, 0, 60_000)).toBe(true);
    expect(admitsCall(stepSubject(ejected, CANARY, HEALTH_DEFAULTS), 0, 1e9)).toBe(false);
  });

  it("doubles with each canary that fails, up to 300 s", () => {
    let state = after(...five);
    const lengths: number[] = [];
    for (let count = 0; count < 5; count++) {
      state = stepSubject(stepSubject(state, CANARY, HEALTH_DEFAULTS), fail(0), HEALTH_DEFAULTS);
      if (state.kind === "ejected") lengths.push(state.untilMs);
    }
    expect(lengths).toEqual([120_000, 240_000, 300_000, 300_000, 300_000]);
  });

  it("lets the next call try at once when a canary proved nothing", () => {
    const lost = after(...five, CANARY, { kind: "canary-lost", atMs: 70_000 });
    expect(lost).toEqual({ kind: "ejected", untilMs: 70_000, ejections: 1 });
    expect(admitsCall(lost, 0, 70_000)).toBe(true);
  });

  it("is not changed by what ends late", () => {
    const ejected = after(...five);
    expect(stepSubject(ejected, fail(50), HEALTH_DEFAULTS)).toBe(ejected);
    expect(stepSubject(ejected, succeed(), HEALTH_DEFAULTS)).toBe(ejected);
  });
});

describe("the return", () => {
  it("is over at once for a single slot", () => {
    expect(after(...five, CANARY, succeed(1))).toBe(HEALTHY);
  });

  it("allows 1, 2, 4 calls at once, each after as many successes, up to the slots", () => {
    let state = after(...five, CANARY, succeed(8));
    const allowances: number[] = [];
    while (state.kind === "returning") {
      allowances.push(state.allowance);
      state = stepSubject(state, succeed(8), HEALTH_DEFAULTS);
    }
    expect(allowances).toEqual([1, 2, 2, 4, 4, 4, 4]);
    expect(state).toBe(HEALTHY);
  });

  it("admits as many calls as it allows", () => {
    const state: SubjectState = { kind: "returning", allowance: 2, successes: 0, ejections: 1 };
    expect(admitsCall(state, 1, 0)).toBe(true);
    expect(admitsCall(state, 2, 0)).toBe(false);
  });

  it("ends with the first failure, which doubles the time", () => {
    expect(after(...five, CANARY, succeed(4), fail(1_000))).toEqual({
      kind: "ejected",
      untilMs: 121_000,
      ejections: 2,
    });
  });

  it("begins anew with the first failure while too many others are ejected", () => {
    const state: SubjectState = { kind: "returning", allowance: 4, successes: 2, ejections: 1 };
    expect(stepSubject(state, fail(0, false), HEALTH_DEFAULTS)).toEqual({ ...state, allowance: 1, successes: 0 });
  });
});
