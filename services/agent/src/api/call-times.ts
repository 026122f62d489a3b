/** Where the time of one call went: in the queue, loading, before the first token, after it. */
import type { Clock } from "@drover/platform";

export class CallTimes {
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #loadMs: () => number;
  #grantedAtMs: number | undefined;
  #firstTokenAtMs: number | undefined;
  #endedAtMs: number | undefined;

  /** `loadMs` tells how much of the wait for a slot was a load. */
  constructor(clock: Clock, loadMs: () => number) {
    this.#clock = clock;
    this.#startedAtMs = clock.nowMs();
    this.#loadMs = loadMs;
  }

  granted(): void {
    this.#grantedAtMs ??= this.#clock.nowMs();
  }

  firstToken(atMs: number): void {
    this.#firstTokenAtMs ??= atMs;
  }

  ended(): void {
    this.#endedAtMs ??= this.#clock.nowMs();
  }

  get totalMs(): number {
    return this.#end - this.#startedAtMs;
  }

  get loadMs(): number {
    return this.#loadMs();
  }

  /** Until the slot, without the load. */
  get queueMs(): number {
    return Math.max(0, (this.#grantedAtMs ?? this.#end) - this.#startedAtMs - this.#loadMs());
  }

  /** From the slot to the first token. */
  get prefillMs(): number {
    return this.#grantedAtMs === undefined ? 0 : (this.#firstTokenAtMs ?? this.#end) - this.#grantedAtMs;
  }

  get decodeMs(): number {
    return this.#firstTokenAtMs === undefined ? 0 : this.#end - this.#firstTokenAtMs;
  }

  /** From the call's arrival to its first token; undefined when there was none. */
  get ttftMs(): number | undefined {
    return this.#firstTokenAtMs === undefined ? undefined : this.#firstTokenAtMs - this.#startedAtMs;
  }

  /** Where the call stands or stood; before its slot, what it waited for most of the time. */
  get phase(): "queue" | "load" | "prefill" | "decode" {
    if (this.#firstTokenAtMs !== undefined) return "decode";
    if (this.#grantedAtMs !== undefined) return "prefill";
    return this.loadMs > this.queueMs ? "load" : "queue";
  }

  /** For people: `queue 1.2 s, load 0 ms, prefill 340 ms, decode 0 ms`. */
  describe(): string {
    const parts = { queue: this.queueMs, load: this.loadMs, prefill: this.prefillMs, decode: this.decodeMs };
    return Object.entries(parts)
      .map(([name, ms]) => `${name} ${inWords(ms)}`)
      .join(", ");
  }

  get #end(): number {
    return this.#endedAtMs ?? this.#clock.nowMs();
  }
}

/** A deadline may be shorter than a tenth of a second. */
function inWords(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
