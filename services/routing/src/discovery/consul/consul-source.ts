/**
 * The members that Consul lists for a service: asks, judges and tells, for as long as the router runs. When to ask is decided in
 * watch-step.ts, what a list means in membership-policy.ts; here is only what connects them to time and to the world.
 */
import { type Clock, type Logger, type Rng, sleep, type Timer } from "@drover/platform";
import { Mailbox } from "../mailbox.ts";
import type { Member, MembershipSource, MembershipUpdate, SourceStatus } from "../membership.ts";
import type { ConsulReader } from "./consul-reader.ts";
import { type ListRead, ListReader, type ServiceList, type UnusableEntry } from "./list-reader.ts";
import { applyList, NOTHING_KNOWN, type PolicyState, type PolicyStep, passTime } from "./membership-policy.ts";
import { FIRST_STATE, noteAsked, questionOf, step, type Trouble, type Verdict } from "./watch-step.ts";

/** As agents register themselves. */
export const AGENT_SERVICE = "drover-agent";

/** To take over so many takes milliseconds. */
const PART_SIZE = 1_000;
/** How often what is held is looked at again; holds last seconds to minutes. */
const TICK_MS = 1_000;

export interface ConsulSourceOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly reader: ConsulReader;
  /** Whether the agent at this endpoint is attached to us and talks: what Consul lost is kept for as long as it does. */
  readonly isAttached: (endpoint: string) => boolean;
}

export function createConsulSource(options: ConsulSourceOptions): MembershipSource {
  let status: SourceStatus = { answeredMs: undefined, trouble: "", suspicion: "" };
  const onStatus = (change: Partial<SourceStatus>): void => {
    status = { ...status, ...change };
  };
  return {
    name: "consul",
    status: () => status,
    async *watch(signal): AsyncIterable<MembershipUpdate> {
      const updates = new Mailbox<MembershipUpdate>();
      const watch = new ConsulWatch({ ...options, onStatus, onUpdates: (news) => updates.put(news) });
      const ended = new AbortController();
      const asking = watch.run(signal).finally(() => ended.abort());
      // Met below. Until then nobody waits for it, and a rejection that nobody waits for ends the process.
      asking.catch(() => undefined);
      try {
        for await (const update of updates.take(AbortSignal.any([signal, ended.signal]))) {
          if (update.kind === "reset") yield* partsOf(update.members, options.clock, signal);
          yield update;
        }
      } finally {
        watch.close();
      }
      await asking;
    },
  };
}

/** What comes before the reset of a long list. */
async function* partsOf(
  members: readonly Member[],
  clock: Clock,
  signal: AbortSignal,
): AsyncIterable<MembershipUpdate> {
  for (let at = 0; members.length > PART_SIZE && at < members.length && !signal.aborted; at += PART_SIZE) {
    await sleep(clock, 0, signal);
    yield { kind: "part", members: members.slice(at, at + PART_SIZE), reason: "Consul lists it" };
  }
}

interface WatchOptions extends ConsulSourceOptions {
  readonly onUpdates: (updates: readonly MembershipUpdate[]) => void;
  readonly onStatus: (change: Partial<SourceStatus>) => void;
}

class ConsulWatch {
  readonly #options: WatchOptions;
  readonly #lists: ListReader;
  readonly #log: Logger;
  #policy: PolicyState = NOTHING_KNOWN;
  #tick: Timer | undefined;
  #trouble: (Trouble & { readonly sinceMs: number }) | undefined;
  #unusable: ReadonlySet<string> = new Set();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#lists = new ListReader(options.reader, AGENT_SERVICE);
    this.#log = options.log.child({ source: "consul", consul: options.reader.displayUrl });
  }

  /** Asks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, rng } = this.#options;
    let state = FIRST_STATE;
    while (!signal.aborted) {
      state = noteAsked(state, clock.nowMs());
      const read = await this.#lists.read({ ...questionOf(state), signal });
      if (signal.aborted) return;
      const next = step(state, read.outcome, clock.nowMs(), rng.next());
      state = next.state;
      this.#judge(next.verdict, read);
      if (next.pauseMs > 0) await sleep(clock, next.pauseMs, signal);
    }
  }

  close(): void {
    this.#tick?.cancel();
  }

  #judge(verdict: Verdict, { list }: ListRead): void {
    if (verdict.kind === "trouble" || list === undefined) {
      if (verdict.kind === "trouble") this.#noteTrouble(verdict.trouble);
      return;
    }
    this.#noteWell();
    this.#noteUnusable(list.unusable);
    this.#apply(list, verdict.isRegressed);
  }

  #apply(list: ServiceList, isRegressed: boolean): void {
    const { instances, isFiltered } = list;
    this.#take(applyList(this.#policy, { instances, isFiltered, isRegressed }, this.#surroundings()));
  }

  #take({ state, updates, isWaiting }: PolicyStep): void {
    const { suspicion } = state;
    if (suspicion !== this.#policy.suspicion) {
      if (suspicion === "") this.#log.info({}, "Consul's list is believed again");
      else
        this.#log.warn(
          { suspicion },
          "Consul's list is not believed as it stands: nodes that vanished from it are kept",
        );
    }
    this.#policy = state;
    this.#options.onStatus({ suspicion });
    if (updates.length > 0) this.#options.onUpdates(updates);
    this.#tick?.cancel();
    this.#tick = isWaiting ? this.#options.clock.after(TICK_MS, () => this.#passTime()) : undefined;
  }

  #passTime(): void {
    this.#take(passTime(this.#policy, this.#surroundings()));
  }

  #surroundings() {
    return { nowMs: this.#options.clock.nowMs(), isAttached: this.#options.isAttached };
  }

  /** Once for each kind of trouble: an outage goes through many words for the same thing. */
  #noteTrouble(trouble: Trouble): void {
    const before = this.#trouble;
    this.#trouble = { ...trouble, sinceMs: before?.sinceMs ?? this.#options.clock.nowMs() };
    this.#options.onStatus({ trouble: trouble.reason });
    if (before?.kind === trouble.kind) return;
    const stands = this.#policy.members === undefined ? "no list is known yet" : "the last list stands";
    const { reason } = trouble;
    if (trouble.kind === "settings") this.#log.error({ reason }, `Consul does not let us read; ${stands}`);
    else this.#log.warn({ reason }, `Consul does not answer; ${stands}`);
  }

  #noteWell(): void {
    const nowMs = this.#options.clock.nowMs();
    const before = this.#trouble;
    if (before !== undefined) {
      this.#log.info({ outageMs: Math.round(nowMs - before.sinceMs) }, "Consul answers again");
    }
    this.#trouble = undefined;
    this.#options.onStatus({ answeredMs: nowMs, trouble: "" });
  }

  #noteUnusable(unusable: readonly UnusableEntry[]): void {
    for (const { key, reason } of unusable) {
      if (!this.#unusable.has(key))
        this.#log.warn({ instance: key, reason }, "Consul lists an agent that cannot be called");
    }
    this.#unusable = new Set(unusable.map(({ key }) => key));
  }
}
