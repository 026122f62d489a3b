/**
 * What a new list of Consul means. Pure: lists and the passing of time in, updates for the fleet out.
 *
 * What somebody said (maintenance, a failing check, a new instance) counts at once. What merely vanished is kept for a while,
 * since Consul's own restarts, wipes and tokens make whole lists vanish: a list that is empty, or lost more than half of its
 * members at once, or has an older index than the one before, removes nobody for a minute. Without any answer the last list
 * stands for ever, because then nothing gets here.
 */
import { type MembershipUpdate, SERVING } from "../membership.ts";
import type { ConsulInstance } from "./consul-instance.ts";
import { isHeld } from "./flap-damper.ts";
import { type HeldMember, HOLD_MS, type ListTrust, named, reasonOf, unnamed } from "./held-member.ts";

export interface ConsulList {
  readonly instances: readonly ConsulInstance[];
  /** Its index is smaller than that of the list before. */
  readonly isRegressed: boolean;
  readonly isFiltered: boolean;
}

export interface PolicyState {
  /** By endpoint; undefined before the first list. */
  readonly members: ReadonlyMap<string, HeldMember> | undefined;
  /** Until then nobody is given up; 0: the list is believed. */
  readonly suspendedUntilMs: number;
  /** Why the list is not believed as it stands, in plain words; empty when it is. */
  readonly suspicion: string;
  readonly isEmpty: boolean;
  readonly isFiltered: boolean;
}

/** What is going on outside of Consul. */
export interface Surroundings {
  readonly nowMs: number;
  /** Whether the agent at this endpoint is attached to us and talks. */
  readonly isAttached: (endpoint: string) => boolean;
}

export interface PolicyStep {
  readonly state: PolicyState;
  readonly updates: readonly MembershipUpdate[];
  /** Whether `passTime` has to be called from time to time, because something is held. */
  readonly isWaiting: boolean;
}

export const NOTHING_KNOWN: PolicyState = {
  members: undefined,
  suspendedUntilMs: 0,
  suspicion: "",
  isEmpty: false,
  isFiltered: false,
};

export function applyList(state: PolicyState, list: ConsulList, around: Surroundings): PolicyStep {
  const listed = byEndpoint(list.instances);
  if (state.members === undefined) return firstList(listed, list, around.nowMs);
  const doubted = doubt(state, listed, list, around.nowMs);
  return rebuild(doubted, state.members, listed, around);
}

/** The same list, later. */
export function passTime(state: PolicyState, around: Surroundings): PolicyStep {
  if (state.members === undefined) return { state, updates: [], isWaiting: false };
  const listed = new Map<string, ConsulInstance>();
  for (const [endpoint, member] of state.members) {
    if (member.missing === undefined) listed.set(endpoint, member.instance);
  }
  const isOver = around.nowMs >= state.suspendedUntilMs;
  const believed = isOver ? { ...state, suspendedUntilMs: 0, suspicion: lastingSuspicion(state) } : state;
  return rebuild(believed, state.members, listed, around);
}

function firstList(listed: ReadonlyMap<string, ConsulInstance>, list: ConsulList, nowMs: number): PolicyStep {
  const members = new Map<string, HeldMember>();
  for (const [endpoint, instance] of listed) members.set(endpoint, named(undefined, instance, nowMs));
  const state = { ...NOTHING_KNOWN, members, isEmpty: listed.size === 0, isFiltered: list.isFiltered };
  const shown = [...members.values()].map((member) => member.shown);
  return {
    state: { ...state, suspicion: list.isFiltered ? lastingSuspicion(state) : "" },
    updates: [{ kind: "reset", members: shown, reason: `Consul lists ${shown.length}` }],
    isWaiting: false,
  };
}

/** Whether this list may be wrong as a whole, beside what was doubted before. */
function doubt(
  state: PolicyState,
  listed: ReadonlyMap<string, ConsulInstance>,
  { isRegressed, isFiltered }: ConsulList,
  nowMs: number,
): PolicyState {
  const isEmpty = listed.size === 0;
  const next = { ...state, isEmpty, isFiltered };
  const suspicion = suspicionOf(state, listed, isRegressed);
  if (suspicion !== "") return { ...next, suspendedUntilMs: nowMs + HOLD_MS, suspicion };
  if (nowMs < state.suspendedUntilMs) return next;
  return { ...next, suspendedUntilMs: 0, suspicion: lastingSuspicion(next) };
}

/** Drained nodes were expected to leave, and one that is listed elsewhere has not left. */
function suspicionOf(
  { members }: PolicyState,
  listed: ReadonlyMap<string, ConsulInstance>,
  isRegressed: boolean,
): string {
  let known = 0;
  const away: ConsulInstance[] = [];
  for (const { instance, missing } of members?.values() ?? []) {
    if (missing !== undefined) continue;
    known++;
    if (instance.standing.kind !== "draining" && !listed.has(instance.endpoint)) away.push(instance);
  }
  const gone = away.length === 0 ? 0 : away.filter(isListedNowhere(listed)).length;
  if (listed.size === 0 && gone > 0) return `Consul suddenly lists nobody, and listed ${known} before`;
  if (gone * 2 > known) return `${gone} of ${known} vanished from Consul at once`;
  return isRegressed ? "Consul's index went backwards: its servers were restored or wiped" : "";
}

function isListedNowhere(listed: ReadonlyMap<string, ConsulInstance>): (instance: ConsulInstance) => boolean {
  const nodeIds = new Set([...listed.values()].map(({ nodeId }) => nodeId));
  return ({ nodeId }) => nodeId === undefined || !nodeIds.has(nodeId);
}

/** What is doubted for as long as the list stays as it is. */
function lastingSuspicion({ isEmpty, isFiltered, members }: PolicyState): string {
  if (isFiltered) return "Consul's token hides instances: it needs service:read and node:read";
  const isKept = members !== undefined && members.size > 0;
  return isEmpty && isKept ? "Consul lists nobody; nodes whose agents answer are kept" : "";
}

function rebuild(
  state: PolicyState,
  before: ReadonlyMap<string, HeldMember>,
  listed: ReadonlyMap<string, ConsulInstance>,
  around: Surroundings,
): PolicyStep {
  const { isEmpty, isFiltered, suspendedUntilMs } = state;
  const trust: ListTrust = { ...around, isEmpty, isFiltered, isSuspended: around.nowMs < suspendedUntilMs };
  const members = new Map<string, HeldMember>();
  const updates: MembershipUpdate[] = [];
  let waiting = 0;
  for (const [endpoint, instance] of listed) {
    const was = before.get(endpoint);
    const member = named(was, instance, around.nowMs);
    members.set(endpoint, member);
    if (member.shown !== was?.shown) updates.push(upsert(member, was));
    if (isHeld(member.flaps, around.nowMs)) waiting++;
  }
  let moved: ReadonlyMap<string, string> | undefined;
  for (const [endpoint, was] of before) {
    if (listed.has(endpoint)) continue;
    moved ??= movedIds(before, listed);
    const newHome = moved.get(was.instance.nodeId ?? "");
    const after = newHome === undefined ? unnamed(was, trust) : { givenUp: `its node moved to ${newHome}` };
    if ("givenUp" in after) {
      updates.push({ kind: "remove", endpoint, reason: after.givenUp });
      continue;
    }
    members.set(endpoint, after);
    if (after.shown !== was.shown) updates.push(upsert(after, was));
    waiting++;
  }
  const hasMissing = members.size > listed.size;
  // As soon as everybody is back, there is nothing left to doubt.
  const settled = hasMissing || isFiltered ? state : { ...state, suspendedUntilMs: 0, suspicion: "" };
  return { state: { ...settled, members }, updates, isWaiting: waiting > 0 };
}

function upsert(member: HeldMember, was: HeldMember | undefined): MembershipUpdate {
  const reason = reasonOf(member.shown) || (was === undefined ? "Consul lists it" : backReason(was));
  return { kind: "upsert", member: member.shown, reason };
}

function backReason({ shown, missing }: HeldMember): string {
  if (missing !== undefined) return "Consul lists it again";
  return (shown.standing ?? SERVING).kind === "serving"
    ? "what Consul tells of it changed"
    : "Consul says that it serves";
}

/** Where nodes are now that were at an endpoint which is no longer listed: a restart on another port is no loss. */
function movedIds(
  before: ReadonlyMap<string, HeldMember>,
  listed: ReadonlyMap<string, ConsulInstance>,
): ReadonlyMap<string, string> {
  const moved = new Map<string, string>();
  for (const { endpoint, nodeId } of listed.values()) {
    if (nodeId !== undefined && !before.has(endpoint)) moved.set(nodeId, endpoint);
  }
  return moved;
}

/** Rank of what is said twice of one endpoint: an operator's word wins, then whoever says that it serves. */
const RANK = { draining: 0, serving: 1, suspect: 2, down: 3 } as const;

function byEndpoint(instances: readonly ConsulInstance[]): ReadonlyMap<string, ConsulInstance> {
  const result = new Map<string, ConsulInstance>();
  for (const instance of instances) {
    const other = result.get(instance.endpoint);
    const isFirst = other === undefined || RANK[instance.standing.kind] < RANK[other.standing.kind];
    if (isFirst) result.set(instance.endpoint, instance);
  }
  return result;
}
