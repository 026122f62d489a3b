/** The states of health in plain words and as a number, for callers and operators. */
import type { Hidden } from "./health-gate.ts";
import type { SubjectState } from "./subject-state.ts";

/** `why` follows the node's name: "ejected after 5 failures in a row". */
export function describeState(state: SubjectState, why: string, nowMs: number): Hidden {
  switch (state.kind) {
    case "healthy":
      return { detail: "", retryAfterMs: 0 };
    case "ejected": {
      const leftMs = Math.max(state.untilMs - nowMs, 0);
      const next = leftMs === 0 ? "the next call tries it" : `tried again in ${Math.ceil(leftMs / 1_000)} s`;
      return { detail: `${why}, ${next}`, retryAfterMs: leftMs };
    }
    case "probing":
      return { detail: `${why}, one call tries it now`, retryAfterMs: undefined };
    case "returning":
      return { detail: `back after failures, takes ${state.allowance} at once so far`, retryAfterMs: undefined };
  }
}

/** 0 (ejected) to 1 (no failure lately). */
export function scoreOf(state: SubjectState, consecutiveFailures: number): number {
  switch (state.kind) {
    case "healthy":
      return 1 - state.failures / (consecutiveFailures + 1);
    case "ejected":
    case "probing":
      return 0;
    case "returning":
      return 0.5;
  }
}
