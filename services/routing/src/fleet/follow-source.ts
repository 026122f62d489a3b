/**
 * Lets the fleet follow what one discovery source says, for as long as the router runs.
 */
import type { Logger } from "@drover/platform";
import type { MembershipSource } from "../discovery/membership.ts";
import type { Fleet } from "./fleet.ts";

export interface FollowOptions {
  readonly fleet: Fleet;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Resolves when `signal` aborts. A source must not end by itself; one that does is said, and its last list stands. */
export async function followSource(source: MembershipSource, { fleet, log, signal }: FollowOptions): Promise<void> {
  try {
    for await (const update of source.watch(signal)) {
      if (signal.aborted) return;
      fleet.apply(source.name, update);
    }
    if (!signal.aborted) log.error({ source: source.name }, "a discovery source ended; its last list of nodes stands");
  } catch (error) {
    log.error({ source: source.name, err: error }, "a discovery source failed; its last list of nodes stands");
  }
}
