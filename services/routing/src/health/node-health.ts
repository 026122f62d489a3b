/**
 * The memory of failures: ejects nodes, and models on nodes, after failures in a row, hides nodes whose calls hang, and lets
 * them return by one canary call. It owns no timer; who waits asks when to look again. Ejected is not removed: only discovery removes.
 */
import type { Clock, Logger } from "@drover/platform";
import { FailureLoad } from "./failure-load.ts";
import { HangMemory } from "./hang-memory.ts";
import type { HealthGate, HealthNode, Hidden, LifeSign, Verdict } from "./health-gate.ts";
import { HEALTH_DEFAULTS, type HealthOptions } from "./health-options.ts";
import { describeState, scoreOf } from "./health-words.ts";
import { modelOf, type NodeRecord } from "./node-record.ts";
import { Subject } from "./subject.ts";
import { HEALTHY, isEjected } from "./subject-state.ts";

/** A node of the fleet, as far as health goes. */
export interface FleetNode {
  readonly name: string;
  /** Of its agent's process. */
  readonly incarnation: string;
  readonly models: ReadonlyMap<string, unknown>;
  readonly isInventoryComplete: boolean;
}

export interface NodeHealthOptions extends Partial<HealthOptions> {
  readonly clock: Clock;
  readonly log: Logger;
  /** For who counts. Must not throw. */
  readonly onEjected?: (node: string, scope: "node" | "model") => void;
  /** One was not ejected, because too many others are. */
  readonly onSpared?: () => void;
}

/** A node's health for operators. */
export interface HealthReport {
  readonly isEjected: boolean;
  /** In plain words; empty when all is well. */
  readonly detail: string;
  /** 0 (ejected) to 1 (no failure lately). */
  readonly score: number;
}

export class NodeHealth implements HealthGate {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: HealthOptions;
  readonly #listeners = new Set<() => void>();
  readonly #load: FailureLoad;
  readonly #hangs: HangMemory;
  /** Nodes that have attempts running or failures to remember: never more than the fleet has, by `follow`. */
  readonly #records = new Map<string, NodeRecord>();
  /** Those that are not simply healthy, so that picks cost nothing while this is empty. */
  readonly #troubled = new Set<Subject>();
  #fleet: ReadonlyMap<string, FleetNode> = new Map();
  readonly #onEjected: NonNullable<NodeHealthOptions["onEjected"]>;
  readonly #onSpared: () => void;
  #capHolds = 0;
  #isNotifyDue = false;

  constructor({ clock, log, onEjected, onSpared, ...options }: NodeHealthOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#onEjected = onEjected ?? (() => undefined);
    this.#onSpared = onSpared ?? (() => undefined);
    this.#options = { ...HEALTH_DEFAULTS, ...options };
    this.#load = new FailureLoad(clock, this.#options.failureLoadMs);
    this.#hangs = new HangMemory(this.#options);
  }

  /** How often a node or model was spared because too many others were ejected. */
  get capHolds(): number {
    return this.#capHolds;
  }

  /** Nodes that are remembered. */
  get size(): number {
    return this.#records.size;
  }

  /** The fleet as it is now, by node id; what left it is forgotten. Until the first call nobody is ejected. */
  follow(nodes: ReadonlyMap<string, FleetNode>): void {
    const before = this.#fleet;
    this.#fleet = nodes;
    for (const id of [...this.#records.keys(), ...this.#hangs.nodeIds()]) {
      const node = nodes.get(id);
      if (node !== undefined && before.get(id)?.incarnation !== node.incarnation) this.#restarted(id, node.name);
    }
    for (const [id, record] of this.#records) {
      const node = nodes.get(id);
      if (node === undefined) this.#forget(id, record);
      // While its list is not complete a model that is missing may be there all the same.
      else if (node.isInventoryComplete) this.#forgetModels(record, node.models);
    }
    this.#load.retain(nodes);
    this.#hangs.retain(nodes);
  }

  isHidden(node: HealthNode, modelKey: string): boolean {
    if (this.#troubled.size === 0 && this.#hangs.isEmpty) return false;
    const nowMs = this.#clock.nowMs();
    if (!this.#hangs.admits(node.id, nowMs)) return true;
    return this.#subjects(node.id, modelKey).some((subject) => !subject.admits(nowMs));
  }

  hidden(node: HealthNode, modelKey: string): Hidden | undefined {
    const nowMs = this.#clock.nowMs();
    const subject = this.#subjects(node.id, modelKey).find((each) => !each.admits(nowMs));
    if (subject !== undefined) {
      const isModels = this.#records.get(node.id)?.models.get(modelKey) === subject;
      return describeState(subject.state, this.#ejectedWhy(isModels ? " with this model" : ""), nowMs);
    }
    return this.#hangs.admits(node.id, nowMs) ? undefined : this.#describeHang(node.id);
  }

  /** For a node that is in the fleet. */
  report(nodeId: string): HealthReport {
    const state = this.#records.get(nodeId)?.node.state ?? HEALTHY;
    if (this.#hangs.isHidden(nodeId) && !isEjected(state)) {
      return { isEjected: true, detail: this.#describeHang(nodeId).detail, score: 0 };
    }
    const { detail } = describeState(state, this.#ejectedWhy(""), this.#clock.nowMs());
    return { isEjected: isEjected(state), detail, score: scoreOf(state, this.#options.consecutiveFailures) };
  }

  failureLoad(nodeId: string): number {
    return this.#load.of(nodeId);
  }

  begin(node: HealthNode, modelKey: string): (verdict: Verdict) => void {
    const record = this.#record(node.id);
    const model = modelOf(record, modelKey, this.#options);
    const attempts = { node: record.node.begin(), model: model.begin() };
    const isHangCanary = this.#hangs.begin(node.id);
    return (verdict) => {
      const nowMs = this.#clock.nowMs();
      const wasTroubled = this.#troubled.size > 0 || isHangCanary;
      if (verdict === "success") this.shows(node, "alive");
      else if (isHangCanary) this.#hangs.canaryLost(node.id, nowMs);
      if (verdict !== "success" && verdict !== "neutral") this.#load.add(node.id);
      if (verdict === "node") {
        record.node.failed(attempts.node, nowMs, () => this.#mayEjectNode());
        model.ended(attempts.model, nowMs);
      } else if (verdict === "node-and-model") {
        model.failed(attempts.model, nowMs, () => this.#mayEjectModel(modelKey));
        record.node.ended(attempts.node, nowMs);
      } else if (verdict === "success") {
        record.node.succeeded(attempts.node, node.slots);
        model.succeeded(attempts.model, node.slots);
      } else {
        record.node.ended(attempts.node, nowMs);
        model.ended(attempts.model, nowMs);
      }
      this.#settle(node.id, record, modelKey);
      if (wasTroubled || this.#troubled.size > 0) this.#changed();
    };
  }

  shows({ id }: HealthNode, sign: LifeSign): void {
    const wasHidden = this.#hangs.isHidden(id);
    if (sign === "hung") this.#hangs.hung(id, this.#clock.nowMs(), () => this.#mayEjectNode());
    else if (!this.#hangs.alive(id)) return;
    const isHidden = this.#hangs.isHidden(id);
    if (wasHidden === isHidden) return;
    const names = { node: this.#fleet.get(id)?.name ?? id };
    if (isHidden) this.#log.warn({ ...names, hangs: this.#options.consecutiveHangs }, "hidden: its calls show nothing");
    else this.#log.info(names, "shows life again");
    this.#changed();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  nextTryMs(): number | undefined {
    const nowMs = this.#clock.nowMs();
    let next: number | undefined;
    for (const state of [...[...this.#troubled].map((subject) => subject.state), ...this.#hangs.states()]) {
      if (state.kind !== "ejected" || state.untilMs <= nowMs) continue;
      next = Math.min(next ?? Number.POSITIVE_INFINITY, state.untilMs - nowMs);
    }
    return next;
  }

  /** A new agent's process: what its node did before counts no more. What a model did there is its Ollama's, and stands. */
  #restarted(id: string, name: string): void {
    const node = this.#records.get(id)?.node;
    const wasHidden = isEjected(node?.state ?? HEALTHY) || this.#hangs.isHidden(id);
    node?.restarted();
    this.#hangs.alive(id);
    if (!wasHidden) return;
    this.#log.info({ node: name }, "its agent has restarted: taken back, slowly");
    this.#changed();
  }

  /** In a turn of its own: whoever is told may begin attempts, and the one that ended is not yet done with. */
  #changed(): void {
    if (this.#isNotifyDue) return;
    this.#isNotifyDue = true;
    queueMicrotask(() => {
      this.#isNotifyDue = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  #record(nodeId: string): NodeRecord {
    const known = this.#records.get(nodeId);
    if (known !== undefined) return known;
    const record = { node: new Subject(this.#options), models: new Map<string, Subject>() };
    this.#records.set(nodeId, record);
    return record;
  }

  #subjects(nodeId: string, modelKey: string): readonly Subject[] {
    const record = this.#records.get(nodeId);
    if (record === undefined) return [];
    const model = record.models.get(modelKey);
    return model === undefined ? [record.node] : [record.node, model];
  }

  /** Brings the lists in line with what an attempt's end changed, and says in the log who was ejected or came back. */
  #settle(nodeId: string, record: NodeRecord, modelKey: string): void {
    // It left the fleet meanwhile; a record of the same name would be another node's.
    if (this.#records.get(nodeId) !== record) return;
    const node = this.#fleet.get(nodeId)?.name ?? nodeId;
    this.#watch(record.node, { node });
    const model = record.models.get(modelKey);
    if (model !== undefined) {
      this.#watch(model, { node, model: modelKey });
      if (model.isIdleAndWell) record.models.delete(modelKey);
    }
    if (record.node.isIdleAndWell && record.models.size === 0) this.#records.delete(nodeId);
  }

  #watch(subject: Subject, names: Record<string, string>): void {
    const { state } = subject;
    const wasTroubled = this.#troubled.has(subject);
    if (state.kind === "healthy") {
      if (this.#troubled.delete(subject)) this.#log.info(names, "back from ejection");
    } else if (!wasTroubled) {
      this.#troubled.add(subject);
      this.#log.warn({ ...names, failures: this.#options.consecutiveFailures }, "ejected after failures in a row");
      this.#onEjected(names["node"] ?? "", names["model"] === undefined ? "node" : "model");
    }
  }

  #mayEjectNode(): boolean {
    const isNodeHidden = (id: string): boolean =>
      this.#hangs.isHidden(id) || isEjected(this.#records.get(id)?.node.state ?? HEALTHY);
    return this.#isWithinCap([...this.#fleet.keys()].filter(isNodeHidden).length, this.#fleet.size);
  }

  /** Among the nodes that have the model, those that are ejected as a whole included. */
  #mayEjectModel(modelKey: string): boolean {
    let ejected = 0;
    let having = 0;
    for (const [id, node] of this.#fleet) {
      if (!node.models.has(modelKey)) continue;
      having++;
      if (this.#subjects(id, modelKey).some(({ state }) => isEjected(state))) ejected++;
    }
    return this.#isWithinCap(ejected, having);
  }

  #isWithinCap(ejected: number, all: number): boolean {
    if (ejected + 1 <= all * this.#options.maxEjectedShare) return true;
    this.#capHolds++;
    this.#onSpared();
    return false;
  }

  #ejectedWhy(what: string): string {
    return `ejected after ${this.#options.consecutiveFailures} failures in a row${what}`;
  }

  #describeHang(nodeId: string): Hidden {
    const why = `its last ${this.#options.consecutiveHangs} calls showed nothing for too long`;
    return describeState(this.#hangs.of(nodeId), why, this.#clock.nowMs());
  }

  #forget(nodeId: string, record: NodeRecord): void {
    this.#records.delete(nodeId);
    this.#troubled.delete(record.node);
    this.#forgetModels(record, new Map());
  }

  #forgetModels(record: NodeRecord, kept: ReadonlyMap<string, unknown>): void {
    for (const [key, subject] of record.models) {
      if (kept.has(key)) continue;
      record.models.delete(key);
      this.#troubled.delete(subject);
    }
  }
}
