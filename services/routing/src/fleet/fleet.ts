/**
 * The store of what is known: takes membership from discovery and events from Attach links, and hands out snapshots.
 * It opens and closes links through a function that it was given, so it knows no sockets.
 */
import type { Clock, Logger, Timer } from "@drover/platform";
import type { MembershipUpdate } from "../discovery/membership.ts";
import { identityOf, type LinkEvent, type LinkState, reduceLink } from "./link-state.ts";
import { SilenceWatch } from "./silence-watch.ts";
import { buildSnapshot, type FleetMember, type FleetSnapshot, UNREACHABLE_AFTER_MS } from "./snapshot.ts";

/** A connection that keeps an Attach stream to one endpoint, and reports on it until closed. */
export interface Link {
  close(): void;
}

/** `report` is never called before `OpenLink` has returned. */
export type OpenLink = (endpoint: string, report: (event: LinkEvent) => void) => Link;

export interface FleetOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly openLink: OpenLink;
  /** Names of the sources that will report; the fleet counts as discovered when each has. */
  readonly sources: readonly string[];
}

interface Entry {
  readonly endpoint: string;
  readonly sources: Set<string>;
  readonly link: Link;
  /** Fires when this endpoint, away since a while, stops being worth waiting for, so that waiting calls look again. */
  grace: Timer;
  state: LinkState;
}

/** More endpoints than this are refused, and said in the log: far above any fleet that one router can hold streams to. */
const MEMBERS_MAX = 10_000;
/** Timers may fire a millisecond before their time; looked at then, an endpoint would still be waited for, and nobody would look again. */
const TIMER_SLACK_MS = 5;

export class Fleet {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #openLink: OpenLink;
  readonly #entries = new Map<string, Entry>();
  readonly #unreported: Set<string>;
  readonly #listeners = new Set<(snapshot: FleetSnapshot) => void>();
  readonly #silence: SilenceWatch;
  /** Undefined while something changed since it was built: heartbeats and idle routers then cost nothing. */
  #snapshot: FleetSnapshot | undefined;
  #isNotifyDue = false;
  #isClosed = false;

  constructor(options: FleetOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#openLink = options.openLink;
    this.#unreported = new Set(options.sources);
    this.#silence = new SilenceWatch({ clock: options.clock, onTick: (beforeMs) => this.#markSilent(beforeMs) });
  }

  get snapshot(): FleetSnapshot {
    this.#snapshot ??= buildSnapshot(this.members(), this.#unreported.size === 0);
    return this.#snapshot;
  }

  /** Every endpoint with its link as it is now. A snapshot's members are as old as the last change that showed. */
  members(): FleetMember[] {
    return [...this.#entries.values()].map((entry) => ({
      endpoint: entry.endpoint,
      sources: [...entry.sources].sort(),
      link: entry.state,
    }));
  }

  /** `listener` runs once for each turn in which something changed. Returns how to end it. */
  onChange(listener: (snapshot: FleetSnapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** An update of the source `name`. */
  apply(name: string, update: MembershipUpdate): void {
    // A source that is being stopped may have one more update on its way; its links would never be closed.
    if (this.#isClosed) return;
    switch (update.kind) {
      case "reset":
        this.#reset(name, new Set(update.members.map((member) => member.endpoint)));
        break;
      case "upsert":
        this.#add(name, update.member.endpoint);
        break;
      case "remove":
        this.#remove(name, update.endpoint);
        break;
    }
    this.#unreported.delete(name);
    this.#changed();
  }

  /** Ends every link and timer. */
  close(): void {
    this.#isClosed = true;
    this.#silence.stop();
    for (const entry of this.#entries.values()) close(entry);
    this.#entries.clear();
    this.#listeners.clear();
  }

  #reset(name: string, endpoints: ReadonlySet<string>): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.sources.has(name) && !endpoints.has(entry.endpoint)) this.#remove(name, entry.endpoint);
    }
    for (const endpoint of endpoints) this.#add(name, endpoint);
  }

  #add(name: string, endpoint: string): void {
    const known = this.#entries.get(endpoint);
    if (known !== undefined) {
      known.sources.add(name);
      return;
    }
    if (this.#entries.size >= MEMBERS_MAX) {
      this.#log.error({ endpoint, limit: MEMBERS_MAX }, "too many endpoints: this one is left out");
      return;
    }
    const state: LinkState = { kind: "connecting", sinceMs: this.#clock.nowMs(), failure: "" };
    const grace = this.#startGrace();
    const link = this.#openLink(endpoint, (event) => this.#onLinkEvent(endpoint, link, event));
    this.#entries.set(endpoint, { endpoint, sources: new Set([name]), link, grace, state });
  }

  #remove(name: string, endpoint: string): void {
    const entry = this.#entries.get(endpoint);
    if (entry === undefined) return;
    entry.sources.delete(name);
    if (entry.sources.size > 0) return;
    close(entry);
    this.#entries.delete(endpoint);
  }

  #onLinkEvent(endpoint: string, link: Link, event: LinkEvent): void {
    const entry = this.#entries.get(endpoint);
    // A link that was closed may still report once; its endpoint may have been added anew since.
    if (entry === undefined || entry.link !== link) return;
    const before = entry.state;
    entry.state = reduceLink(before, event);
    if (entry.state.kind !== before.kind && entry.state.kind !== "attached") {
      entry.grace.cancel();
      entry.grace = this.#startGrace();
    }
    this.#logTransition(endpoint, before, entry.state);
    if (isVisible(before, entry.state)) this.#changed();
  }

  #markSilent(beforeMs: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.state.kind !== "attached" || entry.state.isSilent || entry.state.heardMs > beforeMs) continue;
      this.#onLinkEvent(entry.endpoint, entry.link, { kind: "silent", atMs: this.#clock.nowMs() });
    }
  }

  #startGrace(): Timer {
    return this.#clock.after(UNREACHABLE_AFTER_MS + TIMER_SLACK_MS, () => this.#changed());
  }

  #changed(): void {
    this.#snapshot = undefined;
    if (this.#isNotifyDue) return;
    this.#isNotifyDue = true;
    queueMicrotask(() => {
      this.#isNotifyDue = false;
      for (const listener of [...this.#listeners]) listener(this.snapshot);
    });
  }

  #logTransition(endpoint: string, before: LinkState, after: LinkState): void {
    const node = identityOf(after)?.name;
    if (after.kind === "attached" && before.kind !== "attached") this.#log.info({ node, endpoint }, "node attached");
    if (after.kind === "lost" && before.kind === "attached")
      this.#log.warn({ node, endpoint, reason: after.reason }, "node lost");
    if (after.kind === "connecting" && before.kind === "connecting" && before.failure === "" && after.failure !== "") {
      this.#log.warn({ endpoint, reason: after.failure }, "node does not answer yet, trying on");
    }
    if (after.kind === "attached" && before.kind === "attached" && after.isSilent !== before.isSilent) {
      this.#log.warn({ node, endpoint }, after.isSilent ? "node silent for 3 s" : "node speaks again");
    }
  }
}

function close(entry: Entry): void {
  entry.grace.cancel();
  entry.link.close();
}

/** Whether a snapshot would look different: a heartbeat alone does not. */
function isVisible(before: LinkState, after: LinkState): boolean {
  if (before.kind !== "attached" || after.kind !== "attached") return before !== after;
  return (
    before.known !== after.known ||
    before.isSilent !== after.isSilent ||
    before.ackedSend !== after.ackedSend ||
    before.routerSecret !== after.routerSecret
  );
}
