/**
 * The fleet at one moment: immutable, built by the control plane, read by pickers. Endpoints that are one node are merged
 * here, and names and ids that clash are found.
 */
import type { Standing } from "../discovery/membership.ts";
import { identityOf, type LinkState } from "./link-state.ts";
import type { Availability, NodeView } from "./node-view.ts";
import { mergeStandings, NOTHING_TOLD, reasonOf, type Told } from "./told.ts";

/** How long an endpoint may fail to answer before "has it this model?" is decided without it. */
export const UNREACHABLE_AFTER_MS = 5_000;

/** An endpoint that discovery knows, with what its link says. */
export interface FleetMember {
  readonly endpoint: string;
  /** Names of the sources that name it. */
  readonly sources: readonly string[];
  /** What the sources say of it; absent: nothing. */
  readonly told?: Told;
  readonly link: LinkState;
}

export interface FleetSnapshot {
  /** One for each node that ever answered, by id. */
  readonly nodes: readonly NodeView[];
  readonly byId: ReadonlyMap<string, NodeView>;
  readonly members: readonly FleetMember[];
  /** Whether every discovery source has answered once. */
  readonly isDiscovered: boolean;
}

export const EMPTY_SNAPSHOT: FleetSnapshot = { nodes: [], byId: new Map(), members: [], isDiscovered: false };

export function buildSnapshot(members: readonly FleetMember[], isDiscovered: boolean): FleetSnapshot {
  const byNode = new Map<string, FleetMember[]>();
  for (const member of members) {
    // What an agent says itself wins: the address that discovery knows may have been given to another machine.
    const id = identityOf(member.link)?.id ?? member.told?.nodeId;
    if (id === undefined) continue;
    const group = byNode.get(id);
    if (group === undefined) byNode.set(id, [member]);
    else group.push(member);
  }
  const nameCounts = countNames(byNode.values());
  const nodes: NodeView[] = [];
  for (const group of byNode.values()) {
    const view = viewNode(group, nameCounts);
    if (view !== undefined) nodes.push(view);
  }
  nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { nodes, byId: new Map(nodes.map((node) => [node.id, node])), members, isDiscovered };
}

function countNames(groups: Iterable<readonly FleetMember[]>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const group of groups) {
    const speaker = speakerOf(group);
    const name = speaker === undefined ? undefined : identityOf(speaker.link)?.name;
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** One node from all endpoints that claim its id: the first that talks speaks for it, else the first that is attached. */
function viewNode(group: readonly FleetMember[], nameCounts: ReadonlyMap<string, number>): NodeView | undefined {
  const speaker = speakerOf(group);
  if (speaker === undefined || speaker.link.kind === "connecting") return undefined;
  const { link, told = NOTHING_TOLD } = speaker;
  const { identity, inventory, load } = link.known.parts;
  const standing = mergeStandings(group.map((member) => (member.told ?? NOTHING_TOLD).standing));
  const [availability, detail] = hasConflict(group) ? conflict(identity.id) : availabilityOf(link, standing);
  return {
    id: identity.id,
    name: identity.name,
    incarnation: identity.incarnation,
    endpoint: speaker.endpoint,
    isNameShared: (nameCounts.get(identity.name) ?? 0) > 1,
    availability,
    detail,
    labels: identity.labels,
    isSuspect: standing.kind === "suspect",
    baseWeight: Math.min(Math.max(told.baseWeight ?? identity.baseWeight, 1), 65_535),
    routerSecret: link.kind === "attached" ? link.routerSecret : "",
    ackedSend: link.kind === "attached" ? link.ackedSend : 0,
    models: link.known.models,
    isInventoryComplete: inventory?.isComplete === true,
    runners: link.known.runners,
    loadedModels: link.known.loadedModels,
    slots: Math.max(load?.slotsPerRunner ?? 1, 1),
    active: load?.active ?? 0,
    queued: load?.queued ?? 0,
    queueLimit: load?.queueLimit ?? 0,
  };
}

function speakerOf(group: readonly FleetMember[]): FleetMember | undefined {
  const isAttached = (member: FleetMember): boolean => member.link.kind === "attached";
  return (
    group.find(isTalking) ?? group.find(isAttached) ?? group.find((member) => member.link.kind === "lost") ?? group[0]
  );
}

function isTalking({ link }: FleetMember): boolean {
  return link.kind === "attached" && !link.isSilent;
}

/**
 * Two live processes with one id: a copied state directory. Merging them would send work to the wrong machine. One that is
 * silent may be a process that is gone and was replaced, so it does not count.
 */
function hasConflict(group: readonly FleetMember[]): boolean {
  const live = group.filter(isTalking);
  return new Set(live.map((member) => identityOf(member.link)?.incarnation)).size > 1;
}

function conflict(id: string): [Availability, string] {
  return ["conflicting", `two running agents have the id ${id}: give one of them its own --state-dir`];
}

function availabilityOf(link: LinkState & { kind: "attached" | "lost" }, standing: Standing): [Availability, string] {
  if (link.kind === "lost") return ["unreachable", link.reason];
  if (link.isSilent) return ["unreachable", "its agent has been silent for 3 s"];
  const { condition, inventory, load } = link.known.parts;
  if (condition === undefined || load === undefined) return ["connecting", "its agent has not told its status yet"];
  if (condition.isDraining) return ["draining", drainDetail(condition.drainReason)];
  if (standing.kind === "draining") return ["draining", standing.reason];
  if (!condition.isOllamaReachable)
    return ["ollama-unreachable", "its Ollama does not answer: is `ollama serve` running there?"];
  if (inventory?.isComplete !== true) return ["connecting", "its agent has not read Ollama's models yet"];
  if (standing.kind === "down") return ["unreachable", standing.reason];
  return ["available", reasonOf(standing)];
}

function drainDetail(reason: string): string {
  return reason === "" ? "draining" : `draining: ${reason}`;
}

/**
 * Endpoints whose models are still unknown, so that "no node has this model" cannot be said yet: not answered for less
 * than 5 s, or attached without an inventory.
 */
export function pendingEndpoints(snapshot: FleetSnapshot, nowMs: number): readonly string[] {
  return snapshot.members.filter((member) => isPending(member.link, nowMs)).map((member) => member.endpoint);
}

function isPending(link: LinkState, nowMs: number): boolean {
  switch (link.kind) {
    case "connecting":
      return nowMs - link.sinceMs < UNREACHABLE_AFTER_MS;
    case "attached":
      // While its Ollama is away the agent cannot know; that is told apart by the condition.
      return link.known.parts.inventory?.isComplete !== true && link.known.parts.condition?.isOllamaReachable !== false;
    case "lost":
      return link.known.parts.inventory?.isComplete !== true && nowMs - link.sinceMs < UNREACHABLE_AFTER_MS;
  }
}
