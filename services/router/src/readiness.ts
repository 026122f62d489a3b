/**
 * Whether this router may be sent calls, and what that depends on. Ready means that it listens and that discovery has answered
 * once; how many nodes there are is told, but does not count: a fleet that is being built is not a broken router.
 */
import type { Dependency, ReadinessReport } from "@drover/platform";
import type { FleetSnapshot } from "@drover/routing";

export interface RouterState {
  readonly isListening: boolean;
  readonly isStopping: boolean;
  readonly snapshot: FleetSnapshot;
}

export function readinessOf({ isListening, isStopping, snapshot }: RouterState): ReadinessReport {
  const isOpen = isListening && !isStopping;
  return {
    isReady: isOpen && snapshot.isDiscovered,
    dependencies: [
      { name: "listener", isReady: isOpen, detail: listenerDetail(isListening, isStopping) },
      { name: "discovery", isReady: snapshot.isDiscovered, detail: discoveryDetail(snapshot) },
      nodesDependency(snapshot),
    ],
  };
}

function listenerDetail(isListening: boolean, isStopping: boolean): string {
  if (isStopping) return "the router stops: it takes no new calls";
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
