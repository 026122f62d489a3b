/**
 * Whether the node takes work: drained or not by its operator, leaving or not, and whether its Ollama answers. An operator's drain
 * is kept where it was told to (DrainMemory), so that it outlives the process.
 */
import { create } from "@bufbuild/protobuf";
import { STOPPING_REASON } from "@drover/platform";
import {
  type NodeCondition as NodeConditionMessage,
  NodeConditionSchema,
} from "@drover/proto/drover/fleet/v1/fleet_pb";

/** As DrainRequest.reason promises. */
const LONGEST_REASON = 256;

/** Where an operator's drain is kept over a restart. */
export interface DrainMemory {
  /** Of an earlier run; undefined: the node was not drained. */
  readonly reason: string | undefined;
  keep(reason: string | undefined): void;
}

const FORGETFUL: DrainMemory = { reason: undefined, keep: () => undefined };

export class NodeCondition {
  readonly #onChange: () => void;
  readonly #memory: DrainMemory;
  #drainReason: string | undefined;
  #isLeaving = false;
  #isOllamaReachable = false;
  #ollamaVersion = "";

  constructor(onChange: () => void, memory: DrainMemory = FORGETFUL) {
    this.#onChange = onChange;
    this.#memory = memory;
    this.#drainReason = memory.reason;
  }

  get isDraining(): boolean {
    return this.drainReason !== undefined;
  }

  /** Why the node takes no new calls; undefined: it does. */
  get drainReason(): string | undefined {
    return this.#isLeaving ? STOPPING_REASON : this.#drainReason;
  }

  /** The process ends. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  get isOllamaReachable(): boolean {
    return this.#isOllamaReachable;
  }

  /** Empty before Ollama answered once. */
  get ollamaVersion(): string {
    return this.#ollamaVersion;
  }

  drain(reason: string): void {
    this.#setDrain(reason.slice(0, LONGEST_REASON).toWellFormed());
  }

  resume(): void {
    this.#setDrain(undefined);
  }

  /** The process ends: no new calls any more, and nothing that the next run should remember. */
  leave(): void {
    this.#isLeaving = true;
    this.#onChange();
  }

  /** Tells only changes on. */
  setOllama(isReachable: boolean, version: string): void {
    if (this.#isOllamaReachable === isReachable && this.#ollamaVersion === version) return;
    this.#isOllamaReachable = isReachable;
    this.#ollamaVersion = version;
    this.#onChange();
  }

  build(): NodeConditionMessage {
    return create(NodeConditionSchema, {
      isDraining: this.isDraining,
      drainReason: this.drainReason ?? "",
      isOllamaReachable: this.#isOllamaReachable,
      ollamaVersion: this.#ollamaVersion,
    });
  }

  #setDrain(reason: string | undefined): void {
    this.#drainReason = reason;
    this.#memory.keep(reason);
    this.#onChange();
  }
}
