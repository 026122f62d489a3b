/**
 * The addresses that DNS gives for some names, asked again and again: getaddrinfo tells no lifetime, so the interval is ours. It does
 * not ask by itself: it is given a lookup, and knows no sockets.
 *
 * An answer that fails changes nothing. An address that is missing from an answer goes at once when its agent is silent too; while
 * that talks it is kept for a minute, since a name server may give another part of a long list each time.
 */
import { type Clock, formatHostPort, type HostPort, type Logger, type Rng, sleep } from "@drover/platform";
import type { MembershipSource, MembershipUpdate, SourceStatus } from "./membership.ts";

/** As gRPC's DNS resolver asks at most (min_time_between_resolutions, 30 s). */
export const ASK_EVERY_MS = 30_000;
/** While an address does not answer: its machine may have been replaced by one with another address. */
export const ASK_AGAIN_MS = 5_000;
/** The pause after a failure: from the first to the last, doubling. */
const RETRY_FIRST_MS = 500;
/** How long an address is kept that is missing while its agent talks. */
export const HOLD_MS = 60_000;
/** Of one name. Real answers have dozens; the rest is left out, and said. */
export const ADDRESSES_MAX = 1_000;

export type DnsAnswer =
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  /** In plain words. */
  | { readonly kind: "failed"; readonly reason: string };

export interface DnsSourceOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** Each with the port at which its agents listen. */
  readonly names: readonly HostPort[];
  /** Never rejects. */
  readonly lookUp: (host: string) => Promise<DnsAnswer>;
  /** Whether the agent at this endpoint is attached and talks. */
  readonly isAttached: (endpoint: string) => boolean;
}

export function createDnsSource(options: DnsSourceOptions): MembershipSource {
  const watch = new DnsWatch(options);
  return {
    name: "dns",
    status: () => watch.status,
    watch: (signal) => watch.run(signal),
  };
}

class DnsWatch {
  readonly #options: DnsSourceOptions;
  readonly #log: Logger;
  readonly #names: readonly WatchedName[];
  #status: SourceStatus = { answeredMs: undefined, trouble: "", suspicion: "" };
  /** Rounds in a row in which a name failed. */
  #failures = 0;

  constructor(options: DnsSourceOptions) {
    this.#options = options;
    this.#log = options.log.child({ source: "dns" });
    this.#names = options.names.map((name) => ({ name, lastSeen: new Map(), leftOut: 0 }));
  }

  get status(): SourceStatus {
    return this.#status;
  }

  async *run(signal: AbortSignal): AsyncIterable<MembershipUpdate> {
    const { clock } = this.#options;
    let told: string | undefined;
    while (!signal.aborted) {
      await this.#askAll();
      if (signal.aborted) return;
      const endpoints = this.#endpoints();
      // Before the first good answer nobody knows whether there are none.
      if (this.#status.answeredMs !== undefined && endpoints.join() !== told) {
        told = endpoints.join();
        yield { kind: "reset", members: endpoints.map((endpoint) => ({ endpoint })), reason: "DNS names it" };
      }
      await sleep(clock, this.#pauseMs(endpoints), signal);
    }
  }

  async #askAll(): Promise<void> {
    const failures: string[] = [];
    for (const watched of this.#names) {
      const { host } = watched.name;
      const answer = await this.#options.lookUp(host);
      if (answer.kind === "addresses" && answer.addresses.length > 0) this.#take(watched, answer.addresses);
      else failures.push(`${host}: ${answer.kind === "failed" ? answer.reason : "it has no addresses"}`);
    }
    this.#note(failures);
  }

  #take(watched: WatchedName, addresses: readonly string[]): void {
    const { clock, isAttached } = this.#options;
    const nowMs = clock.nowMs();
    const endpoints = [...new Set(addresses)].map((host) => formatHostPort({ ...watched.name, host }));
    const listed = new Set(endpoints.slice(0, ADDRESSES_MAX));
    for (const [endpoint, seenMs] of watched.lastSeen) {
      if (!listed.has(endpoint) && !(isAttached(endpoint) && nowMs - seenMs < HOLD_MS))
        watched.lastSeen.delete(endpoint);
    }
    for (const endpoint of listed) {
      if (watched.lastSeen.has(endpoint) || watched.lastSeen.size < ADDRESSES_MAX)
        watched.lastSeen.set(endpoint, nowMs);
    }
    this.#noteLeftOut(watched, endpoints.filter((endpoint) => !watched.lastSeen.has(endpoint)).length);
    this.#status = { ...this.#status, answeredMs: nowMs };
  }

  #noteLeftOut(watched: WatchedName, leftOut: number): void {
    const facts = { name: watched.name.host, leftOut, limit: ADDRESSES_MAX };
    if (leftOut > 0 && watched.leftOut === 0)
      this.#log.error(facts, "a name has too many addresses: these are left out");
    watched.leftOut = leftOut;
  }

  #note(failures: readonly string[]): void {
    const trouble = failures.join("; ");
    this.#failures = failures.length === 0 ? 0 : this.#failures + 1;
    if (trouble !== "" && trouble !== this.#status.trouble) {
      this.#log.warn({ reason: trouble }, "DNS does not answer; the last addresses stand");
    }
    if (trouble === "" && this.#status.trouble !== "") this.#log.info({}, "DNS answers again");
    this.#status = { ...this.#status, trouble };
  }

  #endpoints(): readonly string[] {
    return [...new Set(this.#names.flatMap(({ lastSeen }) => [...lastSeen.keys()]))].sort();
  }

  /** Shortened by a random part, so that programs that were started together do not ask together. */
  #pauseMs(endpoints: readonly string[]): number {
    const { rng, isAttached } = this.#options;
    const usualMs = endpoints.every(isAttached) ? ASK_EVERY_MS : ASK_AGAIN_MS;
    const retryMs = Math.min(RETRY_FIRST_MS * 2 ** Math.min(this.#failures - 1, 10), ASK_EVERY_MS);
    return (this.#failures === 0 ? usualMs : retryMs) * (0.75 + rng.next() / 4);
  }
}

interface WatchedName {
  readonly name: HostPort;
  /** By endpoint: when an answer last had it. */
  readonly lastSeen: Map<string, number>;
  /** Addresses of the last answer that were too many. */
  leftOut: number;
}
