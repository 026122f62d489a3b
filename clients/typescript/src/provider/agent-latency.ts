/**
 * How long agents took to their first token, as the calls of one provider measured it.
 */
import type { CallFacts } from "../client/answer-result.ts";
import type { Clock } from "../connect/clock.ts";

export interface AgentLatency {
  /**
   * From a call's arrival at the router, or at the fleet in this process, to its first token, in ms: with its waiting and the load of
   * the model. An average in which each new measurement counts 30 %.
   */
  readonly firstTokenMs: number;
  /** Calls that were measured, generate and chat, of those that the first agent answered. */
  readonly samples: number;
  /** Since the last of them, in ms; at most a minute. */
  readonly ageMs: number;
}

const NEWEST_PART = 0.3;
/** An older one tells nothing of now; and an agent that is avoided because of it would never get the call that shows it well. */
const FORGOTTEN_AFTER_MS = 60_000;
const AGENTS_MAX = 1_024;

interface Measured {
  readonly firstTokenMs: number;
  readonly samples: number;
  readonly atMs: number;
}

export class AgentLatencies {
  readonly #clock: Clock;
  /** By the agent's name, as trailers tell it; the one that was measured last comes last. */
  readonly #byName = new Map<string, Measured>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A call that failed somewhere before says nothing of its last agent alone. */
  note({ node, attempts = 1, ttftMs }: CallFacts): void {
    if (node === undefined || ttftMs === undefined || attempts !== 1) return;
    const known = this.#recent(node);
    const firstTokenMs =
      known === undefined ? ttftMs : known.firstTokenMs + NEWEST_PART * (ttftMs - known.firstTokenMs);
    this.#byName.delete(node);
    this.#byName.set(node, { firstTokenMs, samples: (known?.samples ?? 0) + 1, atMs: this.#clock.nowMs() });
    if (this.#byName.size > AGENTS_MAX) this.#forgetOldest();
  }

  /** Undefined: not measured within the last minute. */
  of(name: string): AgentLatency | undefined {
    const known = this.#recent(name);
    if (known === undefined) return undefined;
    const { firstTokenMs, samples, atMs } = known;
    return { firstTokenMs, samples, ageMs: Math.round(this.#clock.nowMs() - atMs) };
  }

  #recent(name: string): Measured | undefined {
    const known = this.#byName.get(name);
    const isOld = known !== undefined && this.#clock.nowMs() - known.atMs > FORGOTTEN_AFTER_MS;
    return isOld ? undefined : known;
  }

  #forgetOldest(): void {
    for (const name of this.#byName.keys()) {
      this.#byName.delete(name);
      return;
    }
  }
}
