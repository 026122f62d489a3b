/**
 * Whether the node takes work: drained or not by its operator, and whether its Ollama answers. Kept in memory; whoever wants
 * a drain to outlive the process restores it at the start.
 */
import { create } from "@bufbuild/protobuf";
import {
  type NodeCondition as NodeConditionMessage,
  NodeConditionSchema,
} from "@drover/proto/drover/fleet/v1/fleet_pb";

/** As DrainRequest.reason promises. */
const LONGEST_REASON = 256;

export class NodeCondition {
  readonly #onChange: () => void;
  #drainReason: string | undefined;
  #isOllamaReachable = false;
  #ollamaVersion = "";

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get isDraining(): boolean {
    return this.#drainReason !== undefined;
  }

  get isOllamaReachable(): boolean {
    return this.#isOllamaReachable;
  }

  /** Empty before Ollama answered once. */
  get ollamaVersion(): string {
    return this.#ollamaVersion;
  }

  drain(reason: string): void {
    this.#drainReason = reason.slice(0, LONGEST_REASON).toWellFormed();
    this.#onChange();
  }

  resume(): void {
    this.#drainReason = undefined;
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
      drainReason: this.#drainReason ?? "",
      isOllamaReachable: this.#isOllamaReachable,
      ollamaVersion: this.#ollamaVersion,
    });
  }
}
