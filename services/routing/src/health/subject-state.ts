/**
 * Ejection of one subject, a node or a model on a node, as a pure step from event to event. It knows neither time that
 * passes by itself nor other subjects: events carry their time and whether one more may be ejected.
 */
import type { HealthOptions } from "./health-options.ts";

export type SubjectState =
  /** `failures` in a row so far. */
  | { readonly kind: "healthy"; readonly failures: number }
  /** Hidden; from `untilMs` on half-open, so that one call may try it. `ejections` in a row, this one included. */
  | { readonly kind: "ejected"; readonly untilMs: number; readonly ejections: number }
  /** Its one canary call runs. */
  | { readonly kind: "probing"; readonly ejections: number }
  /** Takes `allowance` calls at once; after as many successes twice as many. */
  | {
      readonly kind: "returning";
      readonly allowance: number;
      readonly successes: number;
      readonly ejections: number;
    };

export type SubjectEvent =
  /** A failure that counts against it. Where `mayEject` is false too many others are ejected already. */
  | { readonly kind: "failed"; readonly atMs: number; readonly mayEject: boolean }
  /** `slots`: calls that it can run at once. */
  | { readonly kind: "succeeded"; readonly slots: number }
  | { readonly kind: "canary-began" }
  /** Its process is a new one: what the old one did says little of it. */
  | { readonly kind: "restarted" }
  /** The canary ended and proved nothing: its caller left, say. The next call may try. */
  | { readonly kind: "canary-lost"; readonly atMs: number };

export const HEALTHY: SubjectState = { kind: "healthy", failures: 0 };

export function stepSubject(state: SubjectState, event: SubjectEvent, options: HealthOptions): SubjectState {
  switch (event.kind) {
    case "failed":
      return failed(state, event, options);
    case "succeeded":
      return succeeded(state, event.slots);
    case "canary-began":
      return state.kind === "ejected" ? { kind: "probing", ejections: state.ejections } : state;
    case "restarted":
      return restarted(state);
    case "canary-lost":
      return state.kind === "probing" ? { kind: "ejected", untilMs: event.atMs, ejections: state.ejections } : state;
  }
}

function failed(
  state: SubjectState,
  { atMs, mayEject }: SubjectEvent & { kind: "failed" },
  options: HealthOptions,
): SubjectState {
  switch (state.kind) {
    case "healthy": {
      const failures = Math.min(state.failures + 1, options.consecutiveFailures);
      if (failures < options.consecutiveFailures || !mayEject) return { kind: "healthy", failures };
      return ejected(1, atMs, options);
    }
    case "ejected":
      return state;
    case "probing":
      return ejected(state.ejections + 1, atMs, options);
    // On probation one failure is enough.
    case "returning":
      return mayEject ? ejected(state.ejections + 1, atMs, options) : { ...state, allowance: 1, successes: 0 };
  }
}

function ejected(ejections: number, atMs: number, options: HealthOptions): SubjectState {
  return { kind: "ejected", untilMs: atMs + ejectionMs(ejections, options), ejections };
}

function ejectionMs(ejections: number, { baseEjectionMs, maxEjectionMs }: HealthOptions): number {
  return Math.min(baseEjectionMs * 2 ** (ejections - 1), maxEjectionMs);
}

function succeeded(state: SubjectState, slots: number): SubjectState {
  switch (state.kind) {
    case "healthy":
      return HEALTHY;
    case "ejected":
      return state;
    case "probing":
      return slots <= 1 ? HEALTHY : { kind: "returning", allowance: 1, successes: 0, ejections: state.ejections };
    case "returning": {
      const successes = state.successes + 1;
      if (successes < state.allowance) return { ...state, successes };
      const allowance = state.allowance * 2;
      return allowance >= slots ? HEALTHY : { ...state, allowance, successes: 0 };
    }
  }
}

/** Not simply well: a program that crashes at its first call restarts as well. */
function restarted(state: SubjectState): SubjectState {
  switch (state.kind) {
    case "healthy":
      return HEALTHY;
    case "ejected":
    case "probing":
      return { kind: "returning", allowance: 1, successes: 0, ejections: state.ejections };
    case "returning":
      return state;
  }
}

/** Whether one more call may go to it while `running` calls run there that began since its last ejection. */
export function admitsCall(state: SubjectState, running: number, nowMs: number): boolean {
  switch (state.kind) {
    case "healthy":
      return true;
    case "ejected":
      return nowMs >= state.untilMs;
    case "probing":
      return false;
    case "returning":
      return running < state.allowance;
  }
}

/** Hidden from all but a canary. */
export function isEjected(state: SubjectState): boolean {
  return state.kind === "ejected" || state.kind === "probing";
}
