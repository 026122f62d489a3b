/**
 * A list of routers that somebody else keeps, Consul or DNS: asked when calls come and the last answer is old, never more often
 * than the bounds say, and one question at a time. What was known once stands until there is a better answer: a list that is
 * suddenly empty is more often a lost token or a wiped Consul than a fleet without routers.
 *
 * It sets no timer and asks nothing while no call comes, so that an idle client costs nobody anything and its process can end.
 */
import type { Clock } from "./clock.ts";
import type { RouterList } from "./router-list.ts";

export interface LookUpOptions {
  readonly clock: Clock;
  /** Never an empty list: rejects with an error that callers can be shown. */
  readonly lookUp: (signal: AbortSignal) => Promise<readonly string[]>;
  /** An answer of this age is used, and asked for anew meanwhile. */
  readonly maxAgeMs: number;
  /** Between two questions, whatever happens. */
  readonly minIntervalMs: number;
}

export class LookedUpList implements RouterList {
  readonly #options: LookUpOptions;
  readonly #closed = new AbortController();
  #known: readonly string[] | undefined;
  #failure: unknown;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(options: LookUpOptions) {
    this.#options = options;
  }

  urls(): readonly string[] | Promise<readonly string[]> {
    if (this.#known === undefined) return this.freshUrls();
    if (this.#ageMs() >= this.#options.maxAgeMs) void this.#ask();
    return this.#known;
  }

  async freshUrls(): Promise<readonly string[]> {
    await this.#ask();
    if (this.#known === undefined) throw this.#failure;
    return this.#known;
  }

  close(): void {
    this.#closed.abort();
  }

  /** Resolves with the question that runs, or at once when it is too early for one. Never rejects. */
  #ask(): Promise<void> {
    if (this.#asking !== undefined) return this.#asking;
    if (this.#ageMs() < this.#options.minIntervalMs) return Promise.resolve();
    this.#askedMs = this.#options.clock.nowMs();
    this.#asking = this.#lookUp().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #lookUp(): Promise<void> {
    try {
      this.#known = await this.#options.lookUp(this.#closed.signal);
    } catch (error) {
      this.#failure = error;
    }
  }

  #ageMs(): number {
    return this.#options.clock.nowMs() - this.#askedMs;
  }
}
