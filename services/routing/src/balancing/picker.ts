/**
 * The contract of choosing a node. `pick` is synchronous, total and free of I/O; waiting and refusing are results. Choosing
 * and counting happen in one turn, so that two calls never see the same free slot.
 */
import type { DroverError } from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import type { LifeSign, Verdict } from "../health/health-gate.ts";
import type { CallProfile } from "./call-profile.ts";

/** The count that a pick holds on its node until the attempt ends. */
export interface Lease {
  /** Number of this send to the node, rising; the agent tells which ones its load takes into account. */
  readonly send: number;
  /**
   * The attempt goes on and shows nothing for too long, or its first token; each at most once, before `end`.
   */
  shows(sign: LifeSign): void;
  /**
   * Exactly once; a second call is an InvariantError, because it would free another call's count. `verdict` is what the
   * attempt says of its node, default neutral.
   */
  end(verdict?: Verdict): void;
}

export interface Picked {
  readonly kind: "picked";
  readonly node: NodeView;
  readonly lease: Lease;
}

/** No node now, but a change of the fleet may bring one. */
export interface Waiting {
  readonly kind: "wait";
  /** What to say if the caller's patience ends first. */
  readonly error: DroverError;
  /** Until a node may take it, in ms; undefined when nobody knows. */
  readonly expectedMs?: number;
}

/** No node, and no change of the fleet that is under way brings one. */
export interface Refused {
  readonly kind: "refused";
  readonly error: DroverError;
}

export type PickResult = Picked | Waiting | Refused;

export interface PickRequest {
  readonly profile: CallProfile;
  /** Ids of nodes that failed in this call. */
  readonly excluded: ReadonlySet<string>;
  readonly nowMs: number;
}

export interface Picker {
  pick(request: PickRequest, snapshot: FleetSnapshot): PickResult;
  /** As `pick`, but only a node that can begin at once: a free slot, the model in memory. Undefined when there is none. */
  pickFree(request: PickRequest, snapshot: FleetSnapshot): Picked | undefined;
  /** Whether `pick` would pick now; takes no lease. */
  hasCandidate(request: PickRequest, snapshot: FleetSnapshot): boolean;
  /** What `pick` would do now and why. Takes no lease, and no later pick is another one for it. */
  rank(request: PickRequest, snapshot: FleetSnapshot): Ranking;
}

/** Where a call like this would go, with the reasons. */
export interface Ranking {
  /** Name of the policy. */
  readonly policy: string;
  /** Best first: `pick` would take the first one. */
  readonly ranked: readonly RankedNode[];
  readonly excluded: readonly ExcludedNode[];
  /** What `pick` would say, while `ranked` is empty. */
  readonly instead: Waiting | Refused | undefined;
}

export interface RankedNode {
  readonly node: NodeView;
  /** Smaller is better; comparable within one ranking alone. */
  readonly cost: number;
  /** What the cost is made of, by name. */
  readonly terms: Readonly<Record<string, number>>;
}

export interface ExcludedNode {
  readonly node: NodeView;
  /** In plain words, to follow the node's name. */
  readonly reason: string;
}

/** Ranks nodes that may all take the call; `candidates` is never empty. The one thing in which policies differ. */
export interface Policy {
  readonly name: string;
  choose(candidates: readonly NodeView[], profile: CallProfile, load: LoadReader): NodeView;
  /** All of them, best first; the first one is what `choose` would take. Nobody's turn passes by it. */
  rank(candidates: readonly NodeView[], profile: CallProfile, load: LoadReader): readonly RankedNode[];
}

/** What this router knows of a node's load beside what the node told. */
export interface LoadReader {
  /** Calls to count on top: sent and not told about yet, or failed a moment ago. */
  extraLoad(node: NodeView): number;
}
