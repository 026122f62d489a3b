/** What the router's metrics show of the fleet: read from the snapshot at each scrape, so that it costs nothing in between. */
import { BoundedValues, type Telemetry } from "@drover/platform";
import {
  type Dispatcher,
  distinctRunners,
  type FleetSnapshot,
  type NodeHealth,
  type NodeHealthOptions,
  type NodeView,
} from "@drover/routing";

export interface FleetTelemetryOptions {
  readonly telemetry: Telemetry;
  readonly snapshot: () => FleetSnapshot;
  readonly dispatcher: Dispatcher;
  readonly health: Pick<NodeHealth, "report">;
}

export function observeFleet({ telemetry, snapshot, dispatcher, health }: FleetTelemetryOptions): void {
  const labels = new BoundedValues();
  telemetry.observe("calls", (tell) => {
    tell(dispatcher.waitingCalls, { state: "waiting" });
    tell(dispatcher.activeCalls, { state: "active" });
  });
  telemetry.observe("nodes", (tell) => {
    for (const [availability, count] of countByAvailability(snapshot().nodes)) tell(count, { availability });
  });
  telemetry.observe("nodesEjected", (tell) => {
    tell(snapshot().nodes.filter(({ id }) => health.report(id).isEjected).length, {});
  });
  telemetry.observe("nodeSlots", (tell) => {
    for (const [node, views] of byLabel(snapshot().nodes, labels)) {
      const busy = sum(views, ({ active }) => active);
      const slots = sum(views, loadedSlots);
      tell(busy, { "drover.node": node, state: "busy" });
      tell(Math.max(0, slots - busy), { "drover.node": node, state: "free" });
    }
  });
  telemetry.observe("nodeQueue", (tell) => {
    for (const [node, views] of byLabel(snapshot().nodes, labels)) {
      tell(
        sum(views, ({ queued }) => queued),
        { "drover.node": node },
      );
    }
  });
}

const AVAILABILITIES: readonly NodeView["availability"][] = [
  "available",
  "connecting",
  "unreachable",
  "ollama-unreachable",
  "draining",
  "conflicting",
];

/** Counts what health decides, as it decides it. */
export function countEjections(telemetry: Telemetry): Pick<NodeHealthOptions, "onEjected" | "onSpared"> {
  const labels = new BoundedValues();
  return {
    onEjected: (node, scope) => telemetry.add("ejections", 1, { "drover.node": labels.of(node), scope }),
    onSpared: () => telemetry.add("ejectionsNotEnforced", 1, {}),
  };
}

function countByAvailability(nodes: readonly NodeView[]): ReadonlyMap<string, number> {
  // Zeros too: what falls to none must be seen to fall.
  const counts = new Map<string, number>(AVAILABILITIES.map((availability) => [availability, 0]));
  for (const { availability } of nodes) counts.set(availability, (counts.get(availability) ?? 0) + 1);
  return counts;
}

/** Nodes beyond what is told apart, and nodes that share a name, are summed up: one label has one value. */
function byLabel(nodes: readonly NodeView[], labels: BoundedValues): ReadonlyMap<string, readonly NodeView[]> {
  const groups = new Map<string, NodeView[]>();
  for (const node of nodes) {
    const label = labels.of(node.name);
    const group = groups.get(label);
    if (group === undefined) groups.set(label, [node]);
    else group.push(node);
  }
  return groups;
}

function loadedSlots({ runners }: NodeView): number {
  let slots = 0;
  for (const runner of distinctRunners(runners)) if (runner.state !== "loading") slots += runner.slots;
  return slots;
}

function sum(nodes: readonly NodeView[], read: (node: NodeView) => number): number {
  return nodes.reduce((total, node) => total + read(node), 0);
}
