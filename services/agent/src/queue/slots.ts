/**
 * The slots that calls hold, and what Ollama's counts teach when they give them back. Which call gets a slot is decided
 * elsewhere.
 */
import { invariant } from "@drover/platform";
import type { OllamaCounts } from "../ollama/ollama-counts.ts";
import { PromptSizes } from "./prompt-sizes.ts";
import type { RunnerRecord } from "./runner-table.ts";

/** What the holder of a slot says when it gives it back. */
export interface SlotRelease {
  /** The runner crashed or was unloaded by this call: the next one needs a load. */
  readonly isRunnerGone?: boolean;
  /** Of a complete answer; undefined when the call ended in another way. */
  readonly counts?: OllamaCounts | undefined;
}

/** Room for one running call. */
export interface Slot {
  /** The context of the runner in tokens, 0 when not known. */
  contextLength(): number;
  /** Whether others run on this runner or wait for it. */
  isShared(): boolean;
  /** Tells that the prompt was read. Only the first time counts. */
  firstToken(): void;
  /** Gives the slot back, exactly once. */
  release(release?: SlotRelease): void;
}

export interface SlotsDeps {
  /** The runner of a call is no longer in Ollama's memory. */
  readonly onRunnerGone: (record: RunnerRecord) => void;
  /** A slot is free. */
  readonly onFree: () => void;
}

/** A call that holds a slot. */
interface Running {
  readonly record: RunnerRecord;
  /** Undefined when it is no measure of the prompt: there are images. */
  readonly promptBytes: number | undefined;
  /** How many others ran when its first token came; undefined before. */
  othersAtFirstToken: number | undefined;
  isReleased: boolean;
}

export class Slots {
  readonly #deps: SlotsDeps;
  readonly #sizes = new PromptSizes();
  #active = 0;

  constructor(deps: SlotsDeps) {
    this.#deps = deps;
  }

  /** Slots that are not free, over all runners. */
  get active(): number {
    return this.#active;
  }

  /** Takes a slot of `record`, which has a free one. `promptBytes` undefined: the request's length does not tell its tokens. */
  take(record: RunnerRecord, promptBytes: number | undefined): Slot {
    const running: Running = { record, promptBytes, othersAtFirstToken: undefined, isReleased: false };
    record.active++;
    this.#active++;
    return {
      contextLength: () => record.seen?.contextLength ?? 0,
      isShared: () => record.active > 1 || record.waiting > 0,
      firstToken: () => {
        running.othersAtFirstToken ??= record.active - 1;
      },
      release: (release = {}) => this.#release(running, release),
    };
  }

  #release(running: Running, { isRunnerGone = false, counts }: SlotRelease): void {
    invariant(!running.isReleased, "a slot was released twice");
    running.isReleased = true;
    const { record } = running;
    if (counts !== undefined) this.#learn(running, counts);
    record.active--;
    this.#active--;
    if (isRunnerGone) this.#deps.onRunnerGone(record);
    this.#deps.onFree();
  }

  #learn({ record, promptBytes, othersAtFirstToken }: Running, counts: OllamaCounts): void {
    const others = record.active - 1;
    record.rates.learnAnswer(counts, others === othersAtFirstToken ? others : undefined);
    if (promptBytes === undefined) return;
    const { spec, seen } = record;
    this.#sizes.learn(spec.modelKey, promptBytes, counts.promptTokens, seen?.contextLength ?? 0);
  }
}
