import { DroverError, ENDINGS, type EndingKind, SimClock, seededRng } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { RetryBudget } from "./retry-budget.ts";
import { RETRY_DEFAULTS as retry } from "./retry-options.ts";
import { decideRetry, type FailedAttempt } from "./retry-policy.ts";

const KINDS = Object.keys(ENDINGS) as EndingKind[];

function decide(kind: EndingKind, failed: Partial<FailedAttempt> = {}, random = 0.5, budget = fullBudget()) {
  const attempt = { attempts: 1, chargedRetries: 0, timeLeftMs: Number.POSITIVE_INFINITY, isPinned: false, ...failed };
  return decideRetry(
    { error: new DroverError(kind, "failed"), ...attempt },
    { retry, budget, rng: { next: () => random } },
  );
}

function fullBudget(): RetryBudget {
  return new RetryBudget({ clock: new SimClock() });
}

describe("the decision to try again", () => {
  it.each(KINDS)("follows the table of endings for %s", (kind) => {
    const decision = decide(kind);
    switch (ENDINGS[kind].elsewhere) {
      case "free":
      case "suited":
        return expect(decision).toEqual({ kind: "at-once" });
      case "charged":
      case "once":
        return expect(decision).toEqual({ kind: "after-backoff", afterMs: 12.5 });
      case "never":
        return expect(decision).toEqual({ kind: "give-up" });
    }
  });

  it.each(KINDS)("is never yes after %s when the caller asked for one node, or after four attempts", (kind) => {
    expect(decide(kind, { isPinned: true })).toEqual({ kind: "give-up" });
    expect(decide(kind, { attempts: retry.attemptsMax })).toEqual({ kind: "give-up" });
  });

  it("doubles the limit of the backoff up to a second", () => {
    const limits = [0, 1, 2, 3, 4, 5, 6, 20].map((chargedRetries) => {
      const decision = decide("ollama_busy", { chargedRetries }, 1);
      return decision.kind === "after-backoff" ? decision.afterMs : undefined;
    });
    expect(limits).toEqual([25, 50, 100, 200, 400, 800, 1_000, 1_000]);
  });

  it("spreads the backoffs of one moment over the whole range", () => {
    const rng = seededRng(3);
    const failed = { attempts: 1, chargedRetries: 2, timeLeftMs: 10_000, isPinned: false };
    const budget = new RetryBudget({ clock: new SimClock(), reserve: 1_000 });
    const error = new DroverError("ollama_busy", "busy");
    const backoffs = Array.from({ length: 500 }, () => {
      const decision = decideRetry({ error, ...failed }, { retry, budget, rng });
      return decision.kind === "after-backoff" ? decision.afterMs : Number.NaN;
    });
    expect(Math.min(...backoffs)).toBeLessThan(5);
    expect(Math.max(...backoffs)).toBeGreaterThan(95);
    expect(Math.max(...backoffs)).toBeLessThan(100);
  });

  it("costs the budget only where a live node answered", () => {
    const budget = fullBudget();
    for (let count = 0; count < 10; count++) decide("node_unreachable", {}, 0.5, budget);
    for (let count = 0; count < 3; count++) expect(decide("ollama_busy", {}, 0.5, budget).kind).toBe("after-backoff");
    expect(decide("ollama_busy", {}, 0.5, budget).kind).toBe("give-up");
    expect(decide("node_unreachable", {}, 0.5, budget).kind).toBe("at-once");
  });

  it("costs nothing when the backoff would outlast the deadline", () => {
    const budget = fullBudget();
    for (let count = 0; count < 10; count++) {
      expect(decide("ollama_busy", { timeLeftMs: 12.5 }, 0.5, budget)).toEqual({ kind: "give-up" });
    }
    expect(decide("ollama_busy", { timeLeftMs: 13 }, 0.5, budget).kind).toBe("after-backoff");
  });

  it("goes by other numbers where they are given", () => {
    const failed = { error: new DroverError("ollama_busy", "busy"), attempts: 2, chargedRetries: 0, isPinned: false };
    const decideWith = (options: Partial<typeof retry>) => {
      const means = { retry: { ...retry, ...options }, budget: fullBudget(), rng: { next: () => 1 } };
      return decideRetry({ ...failed, timeLeftMs: Number.POSITIVE_INFINITY }, means);
    };
    expect(decideWith({ attemptsMax: 2 })).toEqual({ kind: "give-up" });
    expect(decideWith({ attemptsMax: 3, backoffFirstMs: 400, backoffLastMs: 300 })).toEqual({
      kind: "after-backoff",
      afterMs: 300,
    });
  });

  it("gives what a second node may mend no third one", () => {
    expect(decide("runner_crashed", { chargedRetries: 0 }).kind).toBe("after-backoff");
    expect(decide("runner_crashed", { attempts: 2, chargedRetries: 1 }).kind).toBe("give-up");
    expect(decide("ollama_busy", { attempts: 2, chargedRetries: 1 }).kind).toBe("after-backoff");
  });
});
