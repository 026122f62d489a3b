/**
 * What to do after an answer of Consul, or none: when to ask again, with which index, and whether the list counts. Pure: it asks
 * nobody and knows no list. The rules for indexes are Consul's own (developer.hashicorp.com/consul/api-docs/features/blocking).
 */

/** How long Consul may hold a question. Some releases cut HTTP answers at 30 s whatever was asked (hashicorp/consul #23267). */
export const WAIT_MS = 25_000;
/** Consul adds up to a sixteenth of the wait; after that and some slack nothing will come: bodies that never end are real. */
const BLOCKING_DEADLINE_MS = (WAIT_MS * 17) / 16 + 5_000;
/** A question with index 0 is answered at once. */
const PLAIN_DEADLINE_MS = 10_000;
/** A list that changes all the time, or a proxy that answers at once, must not make us ask all the time: 1/s after a burst of 2. */
const INTERVAL_MS = 1_000;
const BURST = 2;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_LAST_MS = 10_000;
/** A refused token or question does not mend itself. */
const REFUSED_PAUSE_MS = 10_000;

export interface WatchState {
  /** What the last list had; 0: ask for an answer at once. */
  readonly index: bigint;
  /** In a row. */
  readonly failures: number;
  /** When a steady 1/s would ask next: it may be ahead of the time by the burst. */
  readonly steadyMs: number;
}

export const FIRST_STATE: WatchState = { index: 0n, failures: 0, steadyMs: Number.NEGATIVE_INFINITY };

/** How a question ended. */
export type Outcome =
  | { readonly kind: "list"; readonly index: string | undefined }
  | { readonly kind: "refused"; readonly status: number }
  /** No answer, or half of one, or not Consul's. */
  | { readonly kind: "broken"; readonly reason: string };

export interface Trouble {
  /** `settings`: somebody has to change something; `outage`: it may pass. */
  readonly kind: "settings" | "outage";
  readonly reason: string;
}

export type Verdict =
  | { readonly kind: "apply"; readonly isRegressed: boolean }
  | { readonly kind: "trouble"; readonly trouble: Trouble };

export interface Step {
  readonly state: WatchState;
  readonly pauseMs: number;
  readonly verdict: Verdict;
}

/** The question that `state` leads to. */
export function questionOf({ index }: WatchState): { readonly index: string; readonly deadlineMs: number } {
  return { index: index.toString(), deadlineMs: index === 0n ? PLAIN_DEADLINE_MS : BLOCKING_DEADLINE_MS };
}

/** To be called when a question goes out: counts it. */
export function noteAsked(state: WatchState, nowMs: number): WatchState {
  return { ...state, steadyMs: Math.max(nowMs, state.steadyMs) + INTERVAL_MS };
}

/** `random` is uniform in [0, 1). */
export function step(state: WatchState, outcome: Outcome, nowMs: number, random: number): Step {
  if (outcome.kind === "list") {
    const index = parseIndex(outcome.index);
    if (index !== undefined) return listed(state, index, nowMs);
  }
  const trouble = troubleOf(outcome);
  const next = { ...state, index: 0n, failures: state.failures + 1 };
  const pauseMs = trouble.kind === "settings" ? REFUSED_PAUSE_MS * (1 + random / 2) : backoffMs(state.failures, random);
  return { state: next, pauseMs: Math.max(pauseMs, ratePauseMs(next, nowMs)), verdict: { kind: "trouble", trouble } };
}

function listed(state: WatchState, index: bigint, nowMs: number): Step {
  // Servers that were restored or wiped begin anew; waiting for the old index would sleep until they have caught up with it.
  const isRegressed = index < state.index;
  const next = { ...state, index: isRegressed ? 0n : index, failures: 0 };
  return { state: next, pauseMs: ratePauseMs(next, nowMs), verdict: { kind: "apply", isRegressed } };
}

/** As decimal text: some of Consul's indexes are beyond what a double holds. 0 counts as 1, since 0 would be answered at once for ever. */
function parseIndex(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^\d{1,20}$/.test(text)) return undefined;
  return BigInt(text) || 1n;
}

function troubleOf(outcome: Outcome): Trouble {
  switch (outcome.kind) {
    case "list":
      return { kind: "outage", reason: "its answer has no X-Consul-Index: is this Consul, or a proxy before it?" };
    case "broken":
      return { kind: "outage", reason: outcome.reason };
    case "refused":
      return refusal(outcome.status);
  }
}

function refusal(status: number): Trouble {
  if (status === 429) return { kind: "outage", reason: "it is asked too much (HTTP 429)" };
  if (status >= 500) return { kind: "outage", reason: `it cannot answer (HTTP ${status}): has it a leader?` };
  if (status === 401 || status === 403) {
    const reason = `it refuses the token (HTTP ${status}): CONSUL_HTTP_TOKEN needs service:read and node:read`;
    return { kind: "settings", reason };
  }
  return { kind: "settings", reason: `it refuses the question (HTTP ${status}): is this address Consul's?` };
}

/** Full jitter: routers that lost the same Consul come back spread out. */
function backoffMs(failures: number, random: number): number {
  return random * Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10), BACKOFF_LAST_MS);
}

function ratePauseMs({ steadyMs }: WatchState, nowMs: number): number {
  return Math.max(steadyMs - (BURST - 1) * INTERVAL_MS - nowMs, 0);
}
