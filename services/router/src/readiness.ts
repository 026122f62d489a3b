/**
 * Whether this router may be sent calls, and what that depends on. Ready means that it listens and that a discovery source has
 * answered once: one that is away must not keep the nodes of another from work. How many nodes there are is told, but does not
 * count: a fleet that is being built is not a broken router.
 */
import type { Dependency, HealthRegistry, ReadinessReport } from "@drover/platform";
import type { FleetSnapshot, SourceStatus } from "@drover/routing";

export interface RouterState {
  readonly isListening: boolean;
  readonly isStopping: boolean;
  /** Why an operator took it out of service in Consul; undefined: nobody did. */
  readonly maintenance: string | undefined;
  readonly snapshot: FleetSnapshot;
  readonly sources: readonly SourceReport[];
  readonly nowMs: number;
}

export interface SourceReport {
  readonly name: string;
  readonly status: SourceStatus;
}

type RouterFacts = Pick<RouterState, "isStopping" | "snapshot" | "sources" | "nowMs">;

export function readinessOf(state: RouterState): ReadinessReport {
  const { snapshot } = state;
  const isOpen = state.isListening && !state.isStopping && state.maintenance === undefined;
  const hasAnswer = state.sources.some(({ status }) => status.answeredMs !== undefined);
  return {
    isReady: isOpen && hasAnswer,
    dependencies: [
      { name: "listener", isReady: isOpen, detail: listenerDetail(state) },
      { name: "discovery", isReady: hasAnswer, detail: discoveryDetail(state) },
      nodesDependency(snapshot),
    ],
  };
}

/** What the router's readiness depends on, as it changes; tells grpc.health.v1 each time. */
export class Readiness {
  readonly #facts: () => RouterFacts;
  readonly #health: HealthRegistry;
  readonly #services: readonly string[];
  #isListening = false;
  #maintenance: string | undefined;

  /** `services`: the names under which health is asked for. */
  constructor(facts: () => RouterFacts, health: HealthRegistry, services: readonly string[]) {
    this.#facts = facts;
    this.#health = health;
    this.#services = services;
    this.changed();
  }

  get maintenance(): string | undefined {
    return this.#maintenance;
  }

  report(): ReadinessReport {
    return readinessOf({ ...this.#facts(), isListening: this.#isListening, maintenance: this.#maintenance });
  }

  listening(): void {
    this.#isListening = true;
    this.changed();
  }

  setMaintenance(reason: string | undefined): void {
    this.#maintenance = reason;
    this.changed();
  }

  changed(): void {
    const { isReady } = this.report();
    for (const name of this.#services) this.#health.set(name, isReady);
  }
}

function listenerDetail({ isListening, isStopping, maintenance }: RouterState): string {
  if (isStopping) return "the router stops: it takes no new calls";
  if (maintenance !== undefined)
    return `in maintenance in Consul: ${maintenance}; calls that come all the same are served`;
  return isListening ? "takes calls" : "not open yet";
}

/** What is wrong with a source, if anything is, beside how much is known. */
function discoveryDetail({ snapshot: { members }, sources, nowMs }: RouterState): string {
  const isConfigured = members.length > 0 || sources.some(({ name }) => name !== "static");
  const count = isConfigured
    ? `${members.length} ${members.length === 1 ? "endpoint" : "endpoints"}`
    : "no nodes are configured: see --nodes";
  return [count, ...sources.flatMap((source) => sourceDetail(source, nowMs))].join("; ");
}

function sourceDetail({ name, status: { answeredMs, trouble, suspicion } }: SourceReport, nowMs: number): string[] {
  if (trouble === "")
    return [suspicion, answeredMs === undefined ? "has not answered yet" : ""]
      .filter((text) => text !== "")
      .map((text) => `${name}: ${text}`);
  const age =
    answeredMs === undefined
      ? "never answered"
      : `last answered ${Math.round((nowMs - answeredMs) / 1_000)} s ago; its list stands`;
  return [`${name}: ${trouble}; ${age}`];
}

function nodesDependency({ nodes, members }: FleetSnapshot): Dependency {
  const available = nodes.filter((node) => node.availability === "available").length;
  const detail = `${available} of ${members.length} take work; the router is ready without any`;
  return { name: "nodes", isReady: available > 0, detail };
}
