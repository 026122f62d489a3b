/**
 * Notices agents that stopped talking. Silence counts only while this process itself ran: after a pause of our own
 * (a stopped process, a sleeping laptop) every agent would look silent at once, and none of them is to blame. Nor are they when
 * most of them fall silent together: then it is this router, or its network, and to give up the whole fleet for that would end
 * what may still work. Their streams themselves break when nothing at all comes for longer.
 */
import type { Clock, Logger, Timer } from "@drover/platform";

/** An agent sends at least one status a second; three missed ones are silence. */
export const SILENCE_MS = 3_000;
const TICK_MS = 250;
/** A tick that comes this late was held up by a pause of this process. */
const PAUSED_MS = 4 * TICK_MS;
/** Who falls silent within this time of each other falls silent together. */
const TOGETHER_MS = 1_000;
/** Already so long without a word at the moment of another's silence: its own follows within TOGETHER_MS. */
const OVERDUE_MS = SILENCE_MS - TOGETHER_MS - TICK_MS;

/** Someone who talks: attached, and not known to be silent. */
export interface Talking<T> {
  readonly who: T;
  readonly heardMs: number;
}

export interface SilenceWatchOptions<T> {
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked each tick. */
  readonly talking: () => Iterable<Talking<T>>;
  readonly onSilent: (who: T) => void;
}

export class SilenceWatch<T> {
  readonly #options: SilenceWatchOptions<T>;
  #timer: Timer | undefined;
  #tickedMs: number;
  /** The end of the latest pause of our own; nothing before it is held against anyone. */
  #resumedMs: number;
  /** Until then nobody's silence counts. */
  #suspectedUntilMs = Number.NEGATIVE_INFINITY;
  #isSelfSuspected = false;

  constructor(options: SilenceWatchOptions<T>) {
    this.#options = options;
    this.#tickedMs = options.clock.nowMs();
    this.#resumedMs = this.#tickedMs;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(TICK_MS, () => {
      const nowMs = this.#options.clock.nowMs();
      if (nowMs - this.#tickedMs > PAUSED_MS) this.#resumedMs = nowMs;
      this.#tickedMs = nowMs;
      if (nowMs - this.#resumedMs >= SILENCE_MS) this.#judge(nowMs);
      this.#arm();
    });
  }

  #judge(nowMs: number): void {
    const { silent, overdue, count } = judgeSilence(this.#options.talking(), nowMs);
    // Of one alone nothing can be said, and it is better to wait for it than to send calls into silence.
    const isTogether = overdue > 1 && overdue > count / 2;
    // They come back as they fell silent: one after the other, within a second.
    if (isTogether && silent.length > 0) this.#suspectedUntilMs = nowMs + TOGETHER_MS + TICK_MS;
    const isSelfSuspected = nowMs < this.#suspectedUntilMs;
    if (isSelfSuspected !== this.#isSelfSuspected) this.#tell(isSelfSuspected, { silent: overdue, nodes: count });
    this.#isSelfSuspected = isSelfSuspected;
    if (!isSelfSuspected) for (const who of silent) this.#options.onSilent(who);
  }

  #tell(isSelfSuspected: boolean, facts: object): void {
    const { log } = this.#options;
    if (isSelfSuspected) log.warn(facts, "most nodes fell silent together: this router suspects itself, and keeps all");
    else log.info(facts, "most nodes speak again, or their streams have ended");
  }
}

interface Silence<T> {
  /** Without a word for so long that it is silence. */
  readonly silent: readonly T[];
  /** Of how many it is, or will be soon if they say nothing. */
  readonly overdue: number;
  readonly count: number;
}

function judgeSilence<T>(talking: Iterable<Talking<T>>, nowMs: number): Silence<T> {
  const silent: T[] = [];
  let overdue = 0;
  let count = 0;
  for (const { who, heardMs } of talking) {
    count++;
    if (nowMs - heardMs >= OVERDUE_MS) overdue++;
    if (nowMs - heardMs >= SILENCE_MS) silent.push(who);
  }
  return { silent, overdue, count };
}
