/**
 * How fast one runner is, learned from Ollama's own counts. A moving average of each figure; it knows neither calls nor time.
 */
import type { OllamaCounts } from "../ollama/ollama-counts.ts";
import type { RunnerRates } from "../status/node-load.ts";

/** What the newest measurement weighs: after five of them five sixths of an old figure are gone. */
const NEWEST_WEIGHT = 0.3;

/** Below this the fixed cost of a request hides the speed. */
const LEAST_PROMPT_TOKENS = 64;
const LEAST_TOKENS = 8;

/** One call alone says little about the next: nobody is refused for what it took. */
const LEAST_HOLDS = 3;

/** Ollama counts cached tokens, but not their time. A prompt read this much faster than usual was in the cache. */
const CACHE_HIT_FACTOR = 2;

/** Speeds are told apart up to this many others on the runner; more count as this many. Keeps the status small. */
const MAX_OTHERS = 63;

export class LearnedRates {
  // Time per token and not tokens per time: a cache hit that slips in adds little to an average of times, and is soon gone.
  #promptMsPerToken: number | undefined;
  readonly #msPerToken: (number | undefined)[] = [];
  #loadMs: number | undefined;
  #holdMs: number | undefined;
  #holds = 0;
  /** Nothing is cached in a runner that has just been loaded. */
  #isCacheEmpty = false;

  /** The usual time to load the runner; undefined before its first load. */
  get loadMs(): number | undefined {
    return this.#loadMs;
  }

  /** The usual time to read one token of a prompt that is not cached; undefined until a prompt was read. */
  get promptMsPerToken(): number | undefined {
    return this.#promptMsPerToken;
  }

  /** How long a call usually holds its slot, however it ends; undefined before the third one. */
  get holdMs(): number | undefined {
    return this.#holds < LEAST_HOLDS ? undefined : this.#holdMs;
  }

  /** As LearnedRates of the status promises; a speed between two known ones stands as the one with fewer others. */
  snapshot(): RunnerRates {
    let known = this.#msPerToken.find((each) => each !== undefined) ?? 0;
    const msPerToken = Array.from(this.#msPerToken, (each) => {
      known = each ?? known;
      return known;
    });
    const perToken = this.#promptMsPerToken;
    return {
      prefillTokensPerSecond: perToken === undefined ? undefined : 1_000 / perToken,
      msPerToken,
      loadMs: this.#loadMs,
    };
  }

  learnLoad(loadMs: number): void {
    this.#loadMs = averaged(this.#loadMs, loadMs);
    this.#isCacheEmpty = true;
  }

  learnHold(holdMs: number): void {
    this.#holds = Math.min(this.#holds + 1, LEAST_HOLDS);
    this.#holdMs = averaged(this.#holdMs, holdMs);
  }

  /** `others` ran beside it all the time; undefined when their number changed, and then the speed says nothing. */
  learnAnswer(counts: OllamaCounts, others: number | undefined): void {
    this.#learnPrefill(counts);
    if (others === undefined || counts.tokens < LEAST_TOKENS || counts.decodeMs <= 0) return;
    const index = Math.min(others, MAX_OTHERS);
    this.#msPerToken[index] = averaged(this.#msPerToken[index], counts.decodeMs / counts.tokens);
  }

  #learnPrefill({ promptTokens, prefillMs }: OllamaCounts): void {
    const isCacheEmpty = this.#isCacheEmpty;
    if (promptTokens > 0) this.#isCacheEmpty = false;
    if (promptTokens < LEAST_PROMPT_TOKENS || prefillMs <= 0) return;
    const perToken = prefillMs / promptTokens;
    const usual = this.#promptMsPerToken;
    // What was learned too slow would make every prompt look cached; the first one after a load puts that right.
    if (isCacheEmpty)
      this.#promptMsPerToken = usual !== undefined && isHit(perToken, usual) ? perToken : averaged(usual, perToken);
    else if (usual === undefined || !isHit(perToken, usual)) this.#promptMsPerToken = averaged(usual, perToken);
  }
}

function isHit(perToken: number, usual: number): boolean {
  return perToken * CACHE_HIT_FACTOR < usual;
}

function averaged(usual: number | undefined, newest: number): number {
  return usual === undefined ? newest : usual + NEWEST_WEIGHT * (newest - usual);
}
