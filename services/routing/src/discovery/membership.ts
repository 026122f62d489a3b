/**
 * Who exists: the vocabulary between a discovery source and the fleet. A source says which endpoints there are and what is
 * publicly said of them; whether they answer is none of its business.
 */

/** An endpoint that a source knows of. */
export interface Member {
  /** host:port of the agent. */
  readonly endpoint: string;
  /** Which node listens there, where the source knows it. What the agent says itself wins. */
  readonly nodeId?: string;
  readonly nodeName?: string;
  /** 1..65535; absent: as the agent says. */
  readonly baseWeight?: number;
  /** Absent: the source says nothing about it, which is as good as serving. */
  readonly standing?: Standing;
}

/**
 * What a source says of a member's fitness. `draining` and `down` were said by somebody and hold for the node, whoever else names
 * it; `suspect` is a guess from silence: the node is used when no better one can take the call.
 */
export type Standing =
  | { readonly kind: "serving" }
  | { readonly kind: "draining" | "down" | "suspect"; readonly reason: string };

export const SERVING: Standing = { kind: "serving" };

/**
 * The first update of a source, and the first after it lost touch, is a reset: the whole list. `reason` is for the log. A list of
 * thousands may come in parts before its reset, so that taking it over does not hold the event loop; parts only add.
 */
export type MembershipUpdate =
  | { readonly kind: "part"; readonly members: readonly Member[]; readonly reason?: string }
  | { readonly kind: "reset"; readonly members: readonly Member[]; readonly reason?: string }
  | { readonly kind: "upsert"; readonly member: Member; readonly reason?: string }
  | { readonly kind: "remove"; readonly endpoint: string; readonly reason?: string };

/** How well a source knows what it says, for operators: nothing of it changes who takes calls. */
export interface SourceStatus {
  /** The clock's time of its last good answer; undefined before the first. */
  readonly answeredMs: number | undefined;
  /** Why it cannot be asked now, in plain words; empty when all is well. The last list stands meanwhile. */
  readonly trouble: string;
  /** Why its last list is not believed as it stands; empty when it is. */
  readonly suspicion: string;
}

export interface MembershipSource {
  /** "static", "file", "consul", "dns" or "mdns": shown to operators. */
  readonly name: string;
  /** Runs until `signal` aborts. It never throws for a fault of the outside world: the last good list stands until it is well. */
  watch(signal: AbortSignal): AsyncIterable<MembershipUpdate>;
  status(): SourceStatus;
}
