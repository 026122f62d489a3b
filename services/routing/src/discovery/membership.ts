/**
 * Who exists: the vocabulary between a discovery source and the fleet. A source says which endpoints there are; whether
 * they can take work is none of its business.
 */

/** An endpoint that a source knows of. */
export interface Member {
  /** host:port of the agent. */
  readonly endpoint: string;
}

/** The first update of a source, and the first after it lost touch, is a reset: the whole list. */
export type MembershipUpdate =
  | { readonly kind: "reset"; readonly members: readonly Member[] }
  | { readonly kind: "upsert"; readonly member: Member }
  | { readonly kind: "remove"; readonly endpoint: string };

export interface MembershipSource {
  /** "static", "consul", "dns" or "mdns": shown to operators. */
  readonly name: string;
  /** Runs until `signal` aborts. It never throws for a fault of the outside world: the last good list stands until it is well. */
  watch(signal: AbortSignal): AsyncIterable<MembershipUpdate>;
}
