/**
 * One loaded model: its slots, who waits for one (first come, first served, without limit, as in Ollama: only the
 * number of open connections bounds it), and which text each slot still remembers. Knows nothing of loading or HTTP.
 */
import type { Model } from "../model-catalog.ts";
import type { RunnerOptions } from "../model-options.ts";

export interface Runner {
  readonly model: Model;
  readonly options: RunnerOptions;
  /** Tokens per slot: what was asked for, at most what the model was trained for. */
  readonly contextLength: number;
  /** Aborts when the runner's process dies. */
  readonly death: AbortSignal;
  /** Undefined when `signal` aborted before the turn came. */
  acquireSlot(tokens: readonly string[], signal: AbortSignal): Promise<Slot | undefined>;
  kill(): void;
  /** Busy slots and waiting requests, for tests and logs. */
  load(): { readonly busy: number; readonly waiting: number };
}

export interface Slot {
  /** How many tokens at the start of the prompt the slot had in its cache. */
  readonly cachedTokens: number;
  release(): void;
}

export interface RunnerConfig {
  readonly model: Model;
  readonly options: RunnerOptions;
  readonly slots: number;
}

interface SlotState {
  isBusy: boolean;
  /** The prompt that ran here last; at most one context long. */
  memory: readonly string[];
}

export function createRunner(config: RunnerConfig): Runner {
  const contextLength = Math.min(config.options.numCtx, config.model.contextLength);
  const states: SlotState[] = Array.from({ length: config.slots }, () => ({ isBusy: false, memory: [] }));
  const waiting = new Set<() => void>();
  const death = new AbortController();

  const take = (tokens: readonly string[]): Slot | undefined => {
    const state = bestFreeSlot(states, tokens);
    if (state === undefined) return undefined;
    const cachedTokens = commonPrefix(state.memory, tokens);
    state.isBusy = true;
    state.memory = tokens.slice(0, contextLength);
    return { cachedTokens, release: once(() => free(state)) };
  };
  const free = (state: SlotState): void => {
    state.isBusy = false;
    const [next] = waiting;
    next?.();
  };

  return {
    model: config.model,
    options: config.options,
    contextLength,
    death: death.signal,
    acquireSlot: (tokens, signal) => {
      // A free slot goes to the first who waits at once, so nobody waits where one is free.
      const slot = take(tokens);
      if (slot !== undefined) return Promise.resolve(slot);
      return waitForTurn(waiting, () => take(tokens), AbortSignal.any([signal, death.signal]));
    },
    kill: () => death.abort(),
    load: () => ({ busy: states.filter((state) => state.isBusy).length, waiting: waiting.size }),
  };
}

function waitForTurn(
  waiting: Set<() => void>,
  take: () => Slot | undefined,
  signal: AbortSignal,
): Promise<Slot | undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    const leave = (slot: Slot | undefined): void => {
      waiting.delete(turn);
      signal.removeEventListener("abort", giveUp);
      resolve(slot);
    };
    const turn = (): void => {
      const slot = take();
      if (slot !== undefined) leave(slot);
    };
    const giveUp = (): void => leave(undefined);
    waiting.add(turn);
    signal.addEventListener("abort", giveUp, { once: true });
  });
}

function bestFreeSlot(states: readonly SlotState[], tokens: readonly string[]): SlotState | undefined {
  let best: SlotState | undefined;
  let bestPrefix = -1;
  for (const state of states) {
    if (state.isBusy) continue;
    const prefix = commonPrefix(state.memory, tokens);
    if (prefix > bestPrefix) [best, bestPrefix] = [state, prefix];
  }
  return best;
}

function commonPrefix(left: readonly string[], right: readonly string[]): number {
  const most = Math.min(left.length, right.length);
  let length = 0;
  while (length < most && left[length] === right[length]) length += 1;
  return length;
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
