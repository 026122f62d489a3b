/**
 * The store of what is known: takes membership from discovery and events from Attach links, and hands out snapshots.
 * It opens and closes links through a function that it was given, so it knows no sockets.
 */
import type { Clock, Logger, Timer } from "@drover/platform";
import type { Member, MembershipUpdate } from "../discovery/membership.ts";
import { LinkOpener } from "./link-opener.ts";
import { identityOf, type LinkEvent, type LinkState, reduceLink } from "./link-state.ts";
import { logMembership, type MembershipEvent } from "./membership-event.ts";
import { SilenceWatch, type Talking } from "./silence-watch.ts";
import { buildSnapshot, type FleetMember, type FleetSnapshot, UNREACHABLE_AFTER_MS } from "./snapshot.ts";
import { isSameTold, mergeTold, type Told } from "./told.ts";

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
  /** What each source says of it. */
  readonly sources: Map<string, Member>;
  /** Of all sources together. */
  told: Told;
  /** Undefined while it has to wait for its turn to connect. */
  link: Link | undefined;
  readonly open: () => void;
  /** Fires when this endpoint, away since a while, stops being worth waiting for, so that waiting calls look again. */
  grace: Timer;
  state: LinkState;
}

/** More endpoints than this are refused, and said in the log: far above any fleet that one router can hold streams to. */
const MEMBERS_MAX = 10_000;
/** Timers may fire a millisecond before their time; looked at then, an endpoint would still be waited for, and nobody would look again. */
const TIMER_SLACK_MS = 5;
/** The graces of a long list end one by one within moments; a snapshot of thousands for each would hold the event loop for seconds. */
const GRACE_ENDS_MS = 20;
/** Longer lists are told in one line. */
const LINES_MAX = 100;

export class Fleet {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #openLink: OpenLink;
  readonly #entries = new Map<string, Entry>();
  readonly #unreported: Set<string>;
  readonly #listeners = new Set<() => void>();
  readonly #membershipListeners = new Set<(event: MembershipEvent) => void>();
  readonly #opener: LinkOpener;
  readonly #silence: SilenceWatch<Entry>;
  /** Undefined while something changed since it was built: heartbeats and idle routers then cost nothing. */
  #snapshot: FleetSnapshot | undefined;
  #graceEnds: Timer | undefined;
  /** Endpoints of an update that were too many. */
  #leftOut = 0;
  #isNotifyDue = false;
  #isClosed = false;

  constructor(options: FleetOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#openLink = options.openLink;
    this.#unreported = new Set(options.sources);
    this.#opener = new LinkOpener(options.clock);
    this.#silence = new SilenceWatch({
      clock: options.clock,
      log: options.log,
      talking: () => this.#talking(),
      onSilent: (entry) => this.#onLinkEvent(entry, { kind: "silent", atMs: this.#clock.nowMs() }),
    });
  }

  get snapshot(): FleetSnapshot {
    this.#snapshot ??= buildSnapshot(this.members(), this.#unreported.size === 0);
    return this.#snapshot;
  }

  /** Every endpoint with its link as it is now. A snapshot's members are as old as the last change that showed. */
  members(): FleetMember[] {
    return [...this.#entries.values()].map((entry) => ({
      endpoint: entry.endpoint,
      sources: [...entry.sources.keys()].sort(),
      told: entry.told,
      link: entry.state,
    }));
  }

  /** Whether the agent at this endpoint is attached and talks. */
  isAttached(endpoint: string): boolean {
    const state = this.#entries.get(endpoint)?.state;
    return state?.kind === "attached" && !state.isSilent;
  }

  /** `listener` runs once for each turn in which something changed; a snapshot is built only for those who ask. Returns how to end it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `listener` hears each decision on who is in the fleet, with its reason, at once. Returns how to end it. */
  onMembership(listener: (event: MembershipEvent) => void): () => void {
    this.#membershipListeners.add(listener);
    return () => this.#membershipListeners.delete(listener);
  }

  /** An update of the source `name`. */
  apply(name: string, update: MembershipUpdate): void {
    // A source that is being stopped may have one more update on its way; its links would never be closed.
    if (this.#isClosed) return;
    const say = { source: name, reason: update.reason ?? `listed by ${name}`, isLogged: true };
    switch (update.kind) {
      case "part":
        for (const member of update.members) this.#add(member, { ...say, isLogged: false });
        break;
      case "reset":
        this.#reset(update.members, say);
        break;
      case "upsert":
        this.#add(update.member, say);
        break;
      case "remove":
        this.#remove(update.endpoint, { ...say, reason: update.reason ?? `${name} no longer lists it` });
        break;
    }
    const facts = { source: name, leftOut: this.#leftOut, limit: MEMBERS_MAX };
    if (this.#leftOut > 0) this.#log.error(facts, "too many endpoints: these are left out");
    this.#leftOut = 0;
    if (update.kind !== "part") this.#unreported.delete(name);
    this.#changed();
  }

  /** Ends every link and timer. */
  close(): void {
    this.#isClosed = true;
    this.#silence.stop();
    this.#opener.stop();
    this.#graceEnds?.cancel();
    for (const entry of this.#entries.values()) close(entry);
    this.#entries.clear();
    this.#listeners.clear();
    this.#membershipListeners.clear();
  }

  #reset(members: readonly Member[], say: Saying): void {
    const endpoints = new Set(members.map((member) => member.endpoint));
    for (const entry of [...this.#entries.values()]) {
      if (!entry.sources.has(say.source) || endpoints.has(entry.endpoint)) continue;
      this.#remove(entry.endpoint, { ...say, reason: `${say.source} no longer lists it` });
    }
    const isLogged = members.length <= LINES_MAX;
    for (const member of members) this.#add(member, { ...say, isLogged });
    if (!isLogged) this.#log.info({ source: say.source, nodes: members.length }, "a long list of nodes was taken over");
  }

  #add(member: Member, say: Saying): void {
    const { endpoint } = member;
    const known = this.#entries.get(endpoint);
    if (known !== undefined) {
      // The reset of a list that came in parts.
      if (known.sources.get(say.source) === member) return;
      known.sources.set(say.source, member);
      this.#retell(known, say);
      return;
    }
    if (this.#entries.size >= MEMBERS_MAX) {
      this.#leftOut++;
      return;
    }
    const entry: Entry = {
      endpoint,
      sources: new Map([[say.source, member]]),
      told: mergeTold([member]),
      link: undefined,
      open: () => this.#open(entry),
      grace: this.#startGrace(),
      state: { kind: "connecting", sinceMs: this.#clock.nowMs(), failure: "" },
    };
    this.#entries.set(endpoint, entry);
    this.#decided("joined", entry, say);
    this.#opener.add(entry.open);
  }

  #open(entry: Entry): void {
    entry.link = this.#openLink(entry.endpoint, (event) => this.#onLinkEvent(entry, event));
  }

  #remove(endpoint: string, say: Saying): void {
    const entry = this.#entries.get(endpoint);
    if (entry === undefined || !entry.sources.delete(say.source)) return;
    if (entry.sources.size > 0) {
      this.#retell(entry, { ...say, reason: `${say.reason}; ${[...entry.sources.keys()].join(", ")} still lists it` });
      return;
    }
    this.#opener.cancel(entry.open);
    close(entry);
    this.#entries.delete(endpoint);
    this.#decided("left", entry, say);
  }

  /** What one source says now may change what all of them say together. */
  #retell(entry: Entry, say: Saying): void {
    const told = mergeTold(entry.sources.values());
    if (isSameTold(told, entry.told)) return;
    entry.told = told;
    this.#decided("changed", entry, say);
  }

  #decided(kind: MembershipEvent["kind"], { endpoint, told }: Entry, { source, reason, isLogged }: Saying): void {
    const event = { kind, atMs: this.#clock.nowMs(), source, endpoint, told, reason };
    if (isLogged) logMembership(this.#log, event);
    for (const listener of [...this.#membershipListeners]) listener(event);
  }

  #onLinkEvent(entry: Entry, event: LinkEvent): void {
    const { endpoint } = entry;
    // A link that was closed may still report once; its endpoint may have been added anew since.
    if (this.#entries.get(endpoint) !== entry) return;
    const before = entry.state;
    entry.state = reduceLink(before, event);
    if (entry.state.kind !== before.kind && entry.state.kind !== "attached") {
      entry.grace.cancel();
      entry.grace = this.#startGrace();
    }
    this.#logTransition(endpoint, before, entry.state);
    if (isVisible(before, entry.state)) this.#changed();
  }

  *#talking(): Generator<Talking<Entry>> {
    for (const who of this.#entries.values()) {
      if (who.state.kind === "attached" && !who.state.isSilent) yield { who, heardMs: who.state.heardMs };
    }
  }

  #startGrace(): Timer {
    return this.#clock.after(UNREACHABLE_AFTER_MS + TIMER_SLACK_MS, () => {
      this.#graceEnds ??= this.#clock.after(GRACE_ENDS_MS, () => {
        this.#graceEnds = undefined;
        this.#changed();
      });
    });
  }

  #changed(): void {
    this.#snapshot = undefined;
    if (this.#isNotifyDue) return;
    this.#isNotifyDue = true;
    queueMicrotask(() => {
      this.#isNotifyDue = false;
      for (const listener of [...this.#listeners]) listener();
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

/** Who said what why, on its way to the log. */
interface Saying {
  readonly source: string;
  readonly reason: string;
  readonly isLogged: boolean;
}

function close(entry: Entry): void {
  entry.grace.cancel();
  entry.link?.close();
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
