/**
 * Nodes whose calls show nothing though their agents are well: after so many of them in a row a node is hidden, until one of
 * its calls shows life or the one call that may try it after a while does. Apart from failures, because a call that hangs
 * does not fail: it is taken elsewhere, or goes on waiting.
 */
import type { HealthOptions } from "./health-options.ts";
import { admitsCall, HEALTHY, isEjected, type SubjectState, stepSubject } from "./subject-state.ts";

export class HangMemory {
  readonly #options: HealthOptions;
  /** By node id, of nodes that have hung since they last showed life. */
  readonly #states = new Map<string, SubjectState>();

  constructor(options: HealthOptions) {
    this.#options = { ...options, consecutiveFailures: options.consecutiveHangs };
  }

  get isEmpty(): boolean {
    return this.#states.size === 0;
  }

  /** HEALTHY for a node of which nothing is remembered. */
  of(nodeId: string): SubjectState {
    return this.#states.get(nodeId) ?? HEALTHY;
  }

  isHidden(nodeId: string): boolean {
    return isEjected(this.of(nodeId));
  }

  admits(nodeId: string, nowMs: number): boolean {
    return admitsCall(this.of(nodeId), 0, nowMs);
  }

  /** A call there has shown nothing for too long. `mayHide` is asked only where one more would hide the node. */
  hung(nodeId: string, atMs: number, mayHide: () => boolean): void {
    const state = this.of(nodeId);
    const wouldHide = state.kind === "healthy" && state.failures + 1 >= this.#options.consecutiveFailures;
    const event = { kind: "failed" as const, atMs, mayEject: !wouldHide || mayHide() };
    this.#states.set(nodeId, stepSubject(state, event, this.#options));
  }

  /** A call there has shown a token. Returns whether that was news. */
  alive(nodeId: string): boolean {
    return this.#states.delete(nodeId);
  }

  /** A call begins; returns whether it is the one that tries a hidden node. */
  begin(nodeId: string): boolean {
    const state = this.#states.get(nodeId);
    if (state?.kind !== "ejected") return false;
    this.#states.set(nodeId, stepSubject(state, { kind: "canary-began" }, this.#options));
    return true;
  }

  /** The call that tried it ended and showed nothing, neither for it nor against it. */
  canaryLost(nodeId: string, atMs: number): void {
    const state = this.#states.get(nodeId);
    if (state === undefined) return;
    this.#states.set(nodeId, stepSubject(state, { kind: "canary-lost", atMs }, this.#options));
  }

  nodeIds(): Iterable<string> {
    return this.#states.keys();
  }

  states(): Iterable<SubjectState> {
    return this.#states.values();
  }

  /** Forgets nodes that are not among `nodes`. */
  retain(nodes: ReadonlyMap<string, unknown>): void {
    for (const id of this.#states.keys()) if (!nodes.has(id)) this.#states.delete(id);
  }
}
