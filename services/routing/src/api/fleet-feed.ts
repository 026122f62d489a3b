/**
 * WatchFleet: the fleet as it is, then what changes. One look at the fleet serves all watchers, and there is none while nobody
 * watches. What people act on is looked at within 20 ms, load ten times a second.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, DroverError, type Timer } from "@drover/platform";
import type { WatchFleetResponseSchema } from "@drover/proto/drover/router/v1/router_pb";
import type { Fleet } from "../fleet/fleet.ts";
import type { MembershipEvent } from "../fleet/membership-event.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import type { NodeHealth } from "../health/node-health.ts";
import { feedMessage, snapshotMessages } from "./feed-messages.ts";
import { FleetWatcher } from "./fleet-watcher.ts";
import { changeOf, goneChange, type NodeChange } from "./node-change.ts";
import { type FleetFacts, type ShownNode, showNodes } from "./shown-node.ts";

export const WATCHERS_MAX = 64;
/** Between two looks: a fleet that starts up attaches thousands of nodes one by one. */
const URGENT_AFTER_MS = 20;
const LOAD_AFTER_MS = 100;
const RETRY_AFTER_MS = 1_000;

export interface FleetFeedOptions {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly health: NodeHealth;
  readonly facts: () => FleetFacts;
  /** Aborts when the router stops: watchers end at once, so that nobody waits for them. */
  readonly stopSignal: AbortSignal;
}

export class FleetFeed {
  readonly #options: FleetFeedOptions;
  readonly #watchers = new Set<FleetWatcher>();
  /** As looked at last, by endpoint. */
  #shown: ReadonlyMap<string, ShownNode> = new Map();
  #lookedAt: { readonly atMs: number; readonly snapshot: FleetSnapshot } | undefined;
  /** What discovery decided since the last look, by endpoint: never more than the fleet had and has. */
  readonly #decided = new Map<string, string>();
  #timer: { readonly timer: Timer; readonly atMs: number } | undefined;
  #stopListening: () => void = () => undefined;

  constructor(options: FleetFeedOptions) {
    this.#options = options;
    const wakeAll = (): void => {
      for (const watcher of this.#watchers) watcher.wake();
    };
    options.stopSignal.addEventListener("abort", wakeAll, { once: true });
  }

  /** Of its watchers, for tests. */
  get watchers(): ReadonlySet<FleetWatcher> {
    return this.#watchers;
  }

  /** Ends by `signal` alone, or with a DroverError. */
  async *watch(signal: AbortSignal): AsyncGenerator<MessageInitShape<typeof WatchFleetResponseSchema>> {
    const watcher = this.#join();
    const wake = (): void => watcher.wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        if (this.#options.stopSignal.aborted) throw stopping();
        const untold = watcher.take();
        if (untold === undefined) await watcher.woken();
        else if (untold === "everything") yield* snapshotMessages(this.#shown.values(), this.#nowMs());
        else yield* this.#tell(watcher, untold);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#leave(watcher);
    }
  }

  /** What it would be told is built as it is read: of a node that changed again meanwhile it is the latest. */
  *#tell(watcher: FleetWatcher, changes: ReadonlyMap<string, NodeChange>) {
    for (const [endpoint, change] of changes) {
      if (watcher.hasFallenBehind || this.#options.stopSignal.aborted) return;
      const message = feedMessage(endpoint, change, this.#shown.get(endpoint), this.#nowMs());
      if (message !== undefined) yield message;
    }
  }

  #join(): FleetWatcher {
    if (this.#options.stopSignal.aborted) throw stopping();
    if (this.#watchers.size >= WATCHERS_MAX) {
      const message = `${WATCHERS_MAX} watchers follow this router's fleet, and no more may: end one, or ask another router.`;
      throw new DroverError("overloaded", message, { retryAfterMs: RETRY_AFTER_MS });
    }
    if (this.#watchers.size === 0) this.#listen();
    this.#look();
    const watcher = new FleetWatcher();
    this.#watchers.add(watcher);
    return watcher;
  }

  #leave(watcher: FleetWatcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#stopListening();
    this.#cancelTimer();
    this.#decided.clear();
    this.#shown = new Map();
    this.#lookedAt = undefined;
  }

  #listen(): void {
    const { fleet, health } = this.#options;
    const ends = [
      fleet.onMembership((event) => this.#decided.set(event.endpoint, decisionWords(event))),
      fleet.onChange(() => this.#lookAfter(this.#isUrgent(fleet.snapshot) ? URGENT_AFTER_MS : LOAD_AFTER_MS)),
      health.onChange(() => this.#lookAfter(URGENT_AFTER_MS)),
    ];
    this.#stopListening = () => {
      for (const end of ends) end();
    };
  }

  /** Whether more than load is another. Nodes of a snapshot are in the order of their ids. */
  #isUrgent({ nodes, members }: FleetSnapshot): boolean {
    const before = this.#lookedAt?.snapshot;
    if (before === undefined || this.#decided.size > 0) return true;
    if (before.nodes.length !== nodes.length || before.members.length !== members.length) return true;
    return nodes.some((node, index) => {
      const old = before.nodes[index];
      return (
        old?.id !== node.id ||
        old.availability !== node.availability ||
        old.detail !== node.detail ||
        old.models !== node.models
      );
    });
  }

  /** Now, if the last look was that long ago, else then. */
  #lookAfter(intervalMs: number): void {
    const nowMs = this.#nowMs();
    const dueMs = (this.#lookedAt?.atMs ?? Number.NEGATIVE_INFINITY) + intervalMs;
    if (dueMs <= nowMs) return this.#look();
    if (this.#timer !== undefined && this.#timer.atMs <= dueMs) return;
    this.#cancelTimer();
    this.#timer = { atMs: dueMs, timer: this.#options.clock.after(dueMs - nowMs, () => this.#look()) };
  }

  #look(): void {
    this.#cancelTimer();
    const facts = this.#options.facts();
    const before = this.#shown;
    this.#shown = new Map(showNodes(facts).map((shown) => [shown.endpoint, shown]));
    this.#lookedAt = { atMs: facts.nowMs, snapshot: facts.snapshot };
    const changes = new Map<string, NodeChange>();
    for (const [endpoint, old] of before) {
      if (!this.#shown.has(endpoint)) changes.set(endpoint, goneChange(old, this.#decided.get(endpoint)));
    }
    for (const [endpoint, now] of this.#shown) {
      const change = changeOf(before.get(endpoint), now, this.#decided.get(endpoint));
      if (change !== undefined) changes.set(endpoint, change);
    }
    this.#decided.clear();
    if (changes.size > 0) for (const watcher of this.#watchers) watcher.note(changes);
  }

  #cancelTimer(): void {
    this.#timer?.timer.cancel();
    this.#timer = undefined;
  }

  #nowMs(): number {
    return this.#options.clock.nowMs();
  }
}

const DECISIONS = { joined: "joined", changed: "discovery", left: "left" } as const;

function decisionWords({ kind, source, reason }: MembershipEvent): string {
  const who = reason.includes(source) ? reason : `${source}: ${reason}`;
  return `${DECISIONS[kind]}: ${who}`;
}

function stopping(): DroverError {
  return new DroverError("router_stopping", "This router stops: watch another one, or this one when it is back.", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
