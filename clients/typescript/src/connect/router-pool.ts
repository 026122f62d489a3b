/**
 * The routers of one client: which one a call goes to, and which are avoided because they failed.
 *
 * Each client draws an order of its own and keeps to the first router of it that is well: calls then share a connection, sessions
 * stay with the router that remembers them, and many clients still spread over all. A router that failed is avoided for a while,
 * longer each time; then one health check, beside the calls and never in their way, decides whether it is well again.
 */
import type { Clock, Rng } from "./clock.ts";
import type { OpenRouter, Router } from "./router.ts";

/** gRPC's connection backoff (doc/connection-backoff.md), but for its two minutes: a router is back long before. */
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_FACTOR = 1.6;
const BACKOFF_LAST_MS = 30_000;
const JITTER = 0.2;

type Condition =
  | { readonly kind: "well" }
  | { readonly kind: "avoided"; readonly failures: number; readonly untilMs: number }
  | { readonly kind: "asked"; readonly answer: Promise<boolean> };

const UNPROVEN: Condition = { kind: "avoided", failures: 0, untilMs: Number.NEGATIVE_INFINITY };

interface Entry {
  readonly router: Router;
  /** Its place in this client's order. */
  readonly rank: number;
  condition: Condition;
}

export interface RouterPoolOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly open: OpenRouter;
  /** Whether it answers and says that it serves. Never rejects. */
  readonly probe: (router: Router) => Promise<boolean>;
}

export class RouterPool {
  readonly #options: RouterPoolOptions;
  readonly #entries = new Map<string, Entry>();
  #urls: readonly string[] = [];
  #isClosed = false;

  constructor(options: RouterPoolOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Those that are new are opened, those that are gone take no more calls. */
  update(urls: readonly string[]): void {
    if (urls === this.#urls || this.#isClosed) return;
    this.#urls = urls;
    for (const url of urls) {
      if (this.#entries.has(url)) continue;
      const { open, rng } = this.#options;
      const router = open(url);
      this.#entries.set(url, { router, rank: rng.next(), condition: router.needsProof ? UNPROVEN : { kind: "well" } });
    }
    const listed = new Set(urls);
    for (const [url, { router }] of this.#entries) {
      if (listed.has(url)) continue;
      this.#entries.delete(url);
      router.retire();
    }
  }

  /** The router for a call that has tried these in vain; undefined when it has tried all. */
  pick(tried: ReadonlySet<string>): Router | undefined {
    const inOrder = [...this.#entries.values()].sort((a, b) => a.rank - b.rank);
    for (const entry of inOrder) if (this.#isDue(entry)) void this.#ask(entry);
    const left = inOrder.filter(({ router }) => !tried.has(router.url));
    const well = left.find(({ condition }) => condition.kind === "well");
    // All that is left failed lately: that is no proof that they would now.
    return (well ?? left.sort((a, b) => backAtMs(a) - backAtMs(b))[0])?.router;
  }

  /** Whether a call may go there; asks first where only that can tell. */
  prove({ url, needsProof }: Router): boolean | Promise<boolean> {
    const entry = this.#entries.get(url);
    if (entry === undefined || !needsProof || this.#entries.size === 1) return true;
    if (entry.condition.kind === "well") return true;
    return entry.condition.kind === "asked" ? entry.condition.answer : this.#ask(entry);
  }

  worked({ url }: Router): void {
    const entry = this.#entries.get(url);
    if (entry !== undefined && entry.condition.kind !== "well") entry.condition = { kind: "well" };
  }

  /** Calls that fail together are one failure. */
  failed({ url }: Router): void {
    const entry = this.#entries.get(url);
    if (entry?.condition.kind === "well") this.#avoid(entry, 1);
  }

  close(): void {
    this.#isClosed = true;
    for (const { router } of this.#entries.values()) router.close();
    this.#entries.clear();
  }

  #avoid(entry: Entry, failures: number): void {
    const { clock, rng } = this.#options;
    const backoffMs = Math.min(BACKOFF_FIRST_MS * BACKOFF_FACTOR ** (failures - 1), BACKOFF_LAST_MS);
    const jitter = 1 + JITTER * (2 * rng.next() - 1);
    entry.condition = { kind: "avoided", failures, untilMs: clock.nowMs() + backoffMs * jitter };
  }

  /** A router without another one gets every call anyway. */
  #isDue({ condition }: Entry): boolean {
    return this.#entries.size > 1 && condition.kind === "avoided" && condition.untilMs <= this.#options.clock.nowMs();
  }

  #ask(entry: Entry): Promise<boolean> {
    const failures = entry.condition.kind === "avoided" ? entry.condition.failures : 0;
    const answer = this.#options.probe(entry.router).then((isWell) => {
      // A call may have gone there meanwhile and know better.
      if (entry.condition !== asked) return entry.condition.kind === "well";
      if (isWell) entry.condition = { kind: "well" };
      else this.#avoid(entry, failures + 1);
      return isWell;
    });
    const asked: Condition = { kind: "asked", answer };
    entry.condition = asked;
    return answer;
  }
}

/** Those whose time has come first. */
function backAtMs({ condition }: Entry): number {
  return condition.kind === "avoided" ? condition.untilMs : Number.NEGATIVE_INFINITY;
}
