/**
 * Whether this router may be sent calls, and what that depends on. Ready means that it listens and that discovery has answered
 * once; how many nodes there are is told, but does not count: a fleet that is being built is not a broken router.
 */
import type { Dependency, HealthRegistry, ReadinessReport } from "@drover/platform";
import type { FleetSnapshot } from "@drover/routing";

export interface RouterState {
  readonly isListening: boolean;
  readonly isStopping: boolean;
  /** Why an operator took it out of service in Consul; undefined: nobody did. */
  readonly maintenance: string | undefined;
  readonly snapshot: FleetSnapshot;
}

export function readinessOf(state: RouterState): ReadinessReport {
  const { snapshot } = state;
  const isOpen = state.isListening && !state.isStopping && state.maintenance === undefined;
  return {
    isReady: isOpen && snapshot.isDiscovered,
    dependencies: [
      { name: "listener", isReady: isOpen, detail: listenerDetail(state) },
      { name: "discovery", isReady: snapshot.isDiscovered, detail: discoveryDetail(snapshot) },
      nodesDependency(snapshot),
    ],
  };
}

/** What the router's readiness depends on, as it changes; tells grpc.health.v1 each time. */
export class Readiness {
  readonly #facts: () => Pick<RouterState, "isStopping" | "snapshot">;
  readonly #health: HealthRegistry;
  readonly #services: readonly string[];
  #isListening = false;
  #maintenance: string | undefined;

  /** `services`: the names under which health is asked for. */
  constructor(
    facts: () => Pick<RouterState, "isStopping" | "snapshot">,
    health: HealthRegistry,
    services: readonly string[],
  ) {
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

function discoveryDetail({ isDiscovered, members }: FleetSnapshot): string {
  if (!isDiscovered) return "no source has answered yet";
  return members.length === 0 ? "no nodes are configured: see --nodes" : `${members.length} endpoints`;
}

function nodesDependency({ nodes, members }: FleetSnapshot): Dependency {
  const available = nodes.filter((node) => node.availability === "available").length;
  const detail = `${available} of ${members.length} take work; the router is ready without any`;
  return { name: "nodes", isReady: available > 0, detail };
}
