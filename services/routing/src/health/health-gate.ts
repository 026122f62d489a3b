/**
 * What balancing and dispatch may ask of health, and what they tell it. Health hides nodes for a while; it never removes
 * one, and it knows nothing of how nodes are chosen.
 */
import type { EndingKind } from "@drover/platform";
import { ENDINGS } from "@drover/platform";

/** What health needs to know of a node. */
export interface HealthNode {
  readonly id: string;
  /** Calls that one of its runners takes at once, 1 and up. */
  readonly slots: number;
}

/**
 * How an attempt ended, as far as health goes. `turned-away`: the node did not do it, through no fault of its own;
 * `neutral`: nothing was learned of the node.
 */
export type Verdict = "success" | "node" | "node-and-model" | "turned-away" | "neutral";

/** What an attempt that goes on shows of its node: nothing for too long, or a token. */
export type LifeSign = "hung" | "alive";

/** Why a node is hidden from a call. */
export interface Hidden {
  /** In plain words, to follow the node's name. */
  readonly detail: string;
  /** Until it may be tried again, in ms, 0 and up; undefined when that depends on a call that runs. */
  readonly retryAfterMs: number | undefined;
}

export interface HealthGate {
  /** Undefined: it may be given a call of this model now. */
  hidden(node: HealthNode, modelKey: string): Hidden | undefined;
  /** Whether `hidden` would say something; costs nothing while all nodes are well. */
  isHidden(node: HealthNode, modelKey: string): boolean;
  /** Failed attempts of the last seconds, to be counted as if they still ran. */
  failureLoad(nodeId: string): number;
  /** An attempt begins; what is returned takes its end, exactly once. */
  begin(node: HealthNode, modelKey: string): (verdict: Verdict) => void;
  /** A running attempt shows something. Each attempt shows each sign at most once. */
  shows(node: HealthNode, sign: LifeSign): void;
  /** `listener` runs when a hidden node may have become visible, or one was hidden. Returns how to end it. */
  onChange(listener: () => void): () => void;
  /** Until the next ejected node may be tried, in ms, 0 and up; undefined when none waits for that. */
  nextTryMs(): number | undefined;
}

/** Hides nobody. */
export const everyNodeHealthy: HealthGate = {
  hidden: () => undefined,
  isHidden: () => false,
  failureLoad: () => 0,
  begin: () => () => undefined,
  shows: () => undefined,
  onChange: () => () => undefined,
  nextTryMs: () => undefined,
};

/** What a failure says of the node: decided by the table of endings. */
export function verdictOf(kind: EndingKind): Verdict {
  const { blame, elsewhere } = ENDINGS[kind];
  if (blame !== "nobody") return blame;
  // What another node would answer as well says nothing of this one.
  return elsewhere === "never" || elsewhere === "suited" ? "neutral" : "turned-away";
}
