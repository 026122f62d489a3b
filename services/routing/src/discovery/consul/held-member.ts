/**
 * What one endpoint was said to be, and for how long Consul has not named it. Pure: it decides what is shown of it and when it is
 * given up; whether the whole list is believed is decided by membership-policy.ts.
 */
import type { Member, Standing } from "../membership.ts";
import type { ConsulInstance } from "./consul-instance.ts";
import { type FlapHistory, isHeld, noteChecks, STEADY } from "./flap-damper.ts";

/** How long an endpoint that vanished from the list is kept: a restart of Consul's own agent takes less, and looks the same. */
export const HOLD_MS = 60_000;

export interface HeldMember {
  /** As Consul named it last. */
  readonly instance: ConsulInstance;
  readonly flaps: FlapHistory;
  /** Undefined while the list names it. */
  readonly missing: Missing | undefined;
  /** What the fleet was told last. */
  readonly shown: Member;
}

export interface Missing {
  readonly sinceMs: number;
  /** Since when its agent has not answered us either; undefined while it does. */
  readonly unattachedMs: number | undefined;
}

/** What counts for an endpoint that the list does not name. */
export interface ListTrust {
  readonly nowMs: number;
  readonly isAttached: (endpoint: string) => boolean;
  /** Nothing that vanished is given up now, for a reason that concerns the whole list. */
  readonly isSuspended: boolean;
  /** The list names nobody at all. */
  readonly isEmpty: boolean;
  /** Consul says itself that the token hides instances. */
  readonly isFiltered: boolean;
}

export function named(before: HeldMember | undefined, instance: ConsulInstance, nowMs: number): HeldMember {
  const isSettled = before?.missing === undefined && before?.flaps.heldUntilMs === 0;
  // Nearly all of a list, each time.
  if (before !== undefined && isSettled && before.instance === instance) return before;
  const isDown = instance.standing.kind === "down";
  const { flaps, shown } = before ?? { flaps: { ...STEADY, isDown }, shown: undefined };
  // Maintenance hides what the checks say, so it neither counts nor ends a count.
  const noted = instance.standing.kind === "draining" ? flaps : noteChecks(flaps, isDown, nowMs);
  const member = memberOf(instance, standingOf(instance, noted, nowMs));
  return {
    instance,
    flaps: noted,
    missing: undefined,
    shown: shown !== undefined && isSame(shown, member) ? shown : member,
  };
}

/** The member once more, or why it is given up. */
export function unnamed(before: HeldMember, trust: ListTrust): HeldMember | { readonly givenUp: string } {
  const missing = missingOf(before, trust);
  const reason = reasonToGiveUp(before, missing, trust);
  if (reason !== undefined) return { givenUp: reason };
  const member = memberOf(before.instance, standingWhileMissing(before.instance, missing, trust));
  return { ...before, missing, shown: isSame(before.shown, member) ? before.shown : member };
}

/**
 * Drained stays drained. A check that failed is gone with the registration, and says nothing once the agent itself answers: a
 * Consul agent that restarts and leaves shows every check as failing for a moment. Where the whole list is doubted, no single
 * node that served is.
 */
function standingWhileMissing({ standing }: ConsulInstance, { unattachedMs }: Missing, trust: ListTrust): Standing {
  const isGuilty = !trust.isSuspended && !trust.isEmpty && !trust.isFiltered;
  const isRefuted = standing.kind === "down" && unattachedMs === undefined;
  if (isRefuted || (standing.kind === "serving" && isGuilty))
    return { kind: "suspect", reason: "Consul no longer lists it" };
  return standing;
}

function missingOf({ missing, instance }: HeldMember, { nowMs, isAttached }: ListTrust): Missing {
  const unattachedMs = isAttached(instance.endpoint) ? undefined : (missing?.unattachedMs ?? nowMs);
  return { sinceMs: missing?.sinceMs ?? nowMs, unattachedMs };
}

function reasonToGiveUp({ instance }: HeldMember, missing: Missing, trust: ListTrust): string | undefined {
  const { unattachedMs, sinceMs } = missing;
  const isAway = unattachedMs !== undefined;
  if (isAway && instance.standing.kind === "draining") return "it was drained, and left";
  if (trust.isSuspended || trust.isFiltered) return undefined;
  if (trust.isEmpty) {
    const isLongAway = isAway && trust.nowMs - Math.max(unattachedMs, sinceMs) >= HOLD_MS;
    return isLongAway ? `for ${HOLD_MS / 1_000} s Consul has listed nobody, and its agent has not answered` : undefined;
  }
  if (isAway) return "Consul no longer lists it, and its agent does not answer";
  return trust.nowMs - sinceMs >= HOLD_MS ? `Consul has not listed it for ${HOLD_MS / 1_000} s` : undefined;
}

function standingOf({ standing }: ConsulInstance, flaps: FlapHistory, nowMs: number): Standing {
  if (standing.kind !== "serving" && standing.kind !== "suspect") return standing;
  if (!isHeld(flaps, nowMs)) return standing;
  const heldMs = Math.round(flaps.heldUntilMs - (flaps.changesMs.at(-1) ?? nowMs));
  return {
    kind: "down",
    reason: `its checks in Consul come and go; taken back after ${heldMs / 1_000} s without change`,
  };
}

function memberOf({ endpoint, nodeId, nodeName, baseWeight }: ConsulInstance, standing: Standing): Member {
  return {
    endpoint,
    standing,
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(baseWeight === undefined ? {} : { baseWeight }),
  };
}

function isSame(a: Member, b: Member): boolean {
  return (
    a.nodeId === b.nodeId &&
    a.nodeName === b.nodeName &&
    a.baseWeight === b.baseWeight &&
    a.standing?.kind === b.standing?.kind &&
    reasonOf(a) === reasonOf(b)
  );
}

export function reasonOf({ standing }: Member): string {
  return standing === undefined || standing.kind === "serving" ? "" : standing.reason;
}
