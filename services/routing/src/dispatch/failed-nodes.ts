/**
 * The nodes that failed in one call, in the order of their last failures: which of them may be tried again, and when; and
 * what their failures ask of the next one. It knows nothing of who else could take the call.
 */
import { Code } from "@connectrpc/connect";
import { DroverError, type EndingKind } from "@drover/platform";
import type { CallProfile } from "../balancing/call-profile.ts";
import type { NodeView } from "../fleet/node-view.ts";
import { RETRY_DEFAULTS, type RetryOptions } from "./retry-options.ts";
import { suitedProfile } from "./suited-profile.ts";

interface Failure {
  readonly name: string;
  readonly error: DroverError;
  readonly failures: number;
  /** Not again before this time. */
  readonly notBeforeMs: number;
}

/** At most as many as a call makes attempts. */
export class FailedNodes {
  readonly #failures = new Map<string, Failure>();
  readonly #crashed = new Map<string, string>();
  readonly #options: RetryOptions;
  #profile: CallProfile;
  #last: string | undefined;
  #charged = 0;
  #chargedBefore = 0;

  /** `profile` is what the call asks of nodes at first. */
  constructor(profile: CallProfile, options: RetryOptions = RETRY_DEFAULTS) {
    this.#profile = profile;
    this.#options = options;
  }

  add(node: NodeView, error: DroverError, nowMs: number): void {
    const failures = (this.#failures.get(node.id)?.failures ?? 0) + 1;
    const { pauseFirstMs, pauseLastMs } = this.#options;
    const pauseMs = Math.min(pauseFirstMs * 2 ** (failures - 1), pauseLastMs);
    const notBeforeMs = nowMs + Math.max(pauseMs, error.retryAfterMs ?? 0);
    // To the end of the order.
    this.#failures.delete(node.id);
    this.#failures.set(node.id, { name: node.name, error, failures, notBeforeMs });
    this.#last = node.id;
    this.#chargedBefore = this.#charged;
    if (error.ending.elsewhere === "charged" || error.ending.elsewhere === "once") this.#charged++;
    this.#profile = suitedProfile(this.#profile, error);
    if (error.kind === "runner_crashed") this.#crashed.set(node.id, node.name);
  }

  /** What a node must have by now. */
  get profile(): CallProfile {
    return this.#profile;
  }

  /** The last failure. */
  get lastError(): DroverError | undefined {
    return this.#last === undefined ? undefined : this.#failures.get(this.#last)?.error;
  }

  /** Failures that cost retry budget, the last one not included. */
  get chargedBefore(): number {
    return this.#chargedBefore;
  }

  get isEmpty(): boolean {
    return this.#failures.size === 0;
  }

  get ids(): ReadonlySet<string> {
    return new Set(this.#failures.keys());
  }

  allBut(id: string): ReadonlySet<string> {
    const ids = new Set(this.#failures.keys());
    ids.delete(id);
    return ids;
  }

  /** Whether the last failure costs nothing: the node vanished, drains or never got the call. */
  get isLastFree(): boolean {
    return this.lastError?.ending.elsewhere === "free";
  }

  /** Whether its last node went away, so that the call lost a place that it had: it waits for another when all are full. */
  get hasLostPlace(): boolean {
    return this.isLastFree && this.lastError?.ending.code === Code.Unavailable;
  }

  /**
   * Those that may do it when asked again, least recently failed first. A live node that has just said no is not among
   * them: the same question would get the same answer.
   */
  triable(): readonly { readonly id: string; readonly notBeforeMs: number }[] {
    return [...this.#failures]
      .filter(([id, { error }]) => (id !== this.#last || this.isLastFree) && mayPass(error))
      .map(([id, { notBeforeMs }]) => ({ id, notBeforeMs }));
  }

  /** Two runners on two nodes crashed on this one request: a third is spared. */
  get poison(): DroverError | undefined {
    const { model } = this.#profile;
    const names = [...this.#crashed.values()];
    if (names.length < 2) return undefined;
    const nodes = names.map((name) => `"${name}"`).join(" and ");
    const message =
      `The runner of model "${model}" crashed on this request on the nodes ${nodes}, so no other is tried: ` +
      "change the request, or see Ollama's log on these nodes.";
    return new DroverError("poison", message, { facts: { model, nodes: names.join(",") } });
  }
}

/**
 * What a node that was asked once is not asked again for in one call: the model that it lacks, and room that it has not. When no
 * other node has room either, the caller is told at once instead of being held.
 */
const NOT_ASKED_TWICE: ReadonlySet<EndingKind> = new Set([
  "node_lacks_model",
  "queue_full",
  "overloaded",
  "wait_exceeded",
]);

/** Whether time mends it: a model that does not load there, or is too small, is so a second later too. */
function mayPass({ kind, ending }: DroverError): boolean {
  return ending.blame !== "node-and-model" && ending.elsewhere !== "suited" && !NOT_ASKED_TWICE.has(kind);
}
