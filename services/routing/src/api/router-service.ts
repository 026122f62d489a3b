/**
 * RouterService: what operators and clients ask about the fleet. It reads what the fleet knows; changes are the agents' own,
 * so it forwards them and waits until they show.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DroverError } from "@drover/platform";
import { type Node, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import type { Picker } from "../balancing/picker.ts";
import type { AgentAdmin } from "./agent-admin.ts";
import { findNode } from "./find-node.ts";
import { type FleetKnowledge, fleetFacts } from "./fleet-facts.ts";
import type { FleetFeed } from "./fleet-feed.ts";
import { toModelMessages } from "./model-messages.ts";
import { checkFeatures, estimateTokens } from "./model-questions.ts";
import { nodeMessage } from "./node-message.ts";
import { ROUTER_METHODS_TO_COME } from "./not-built-yet.ts";
import { selectNode } from "./select-node.ts";
import { byName, showNode, showNodes } from "./shown-node.ts";

/** An agent announces a change within 50 ms; a node that takes longer is shown as it is. */
const ANNOUNCED_WITHIN_MS = 1_000;

export interface RouterServiceOptions extends FleetKnowledge {
  /** The one that calls go by. */
  readonly picker: Picker;
  readonly feed: FleetFeed;
  readonly agents: AgentAdmin;
}

/** The methods that change things. */
export const CHANGING_METHODS: readonly DescMethod[] = [
  RouterService.method.drainNode,
  RouterService.method.resumeNode,
  RouterService.method.loadModel,
  RouterService.method.pullModel,
  RouterService.method.unloadModel,
  RouterService.method.deleteModel,
];

export function createRouterService(options: RouterServiceOptions): ServiceImpl<typeof RouterService> {
  const { fleet, agents } = options;
  return {
    ...ROUTER_METHODS_TO_COME,
    listNodes: () => {
      const facts = fleetFacts(options);
      return {
        nodes: showNodes(facts)
          .sort(byName)
          .map((shown) => nodeMessage(shown, facts.nowMs)),
      };
    },
    watchFleet: (_request, { signal }) => options.feed.watch(signal),
    listModels: () => ({ models: toModelMessages(fleet.snapshot) }),
    selectNode: (request) => selectNode(options, request),
    checkFeatures: ({ model }) => ({ model: checkFeatures(options, model) }),
    estimateTokens: (request) => estimateTokens(options, request),
    drainNode: async (request, { signal }) => {
      const node = findNode(fleet.snapshot, request.node);
      await agents.drain(node, request.reason, signal);
      return { node: await changedNode(options, node.id, true, signal) };
    },
    resumeNode: async (request, { signal }) => {
      const node = findNode(fleet.snapshot, request.node);
      await agents.resume(node, signal);
      return { node: await changedNode(options, node.id, false, signal) };
    },
  };
}

/** The node once this router has heard of the change, so that calls that follow the answer are placed accordingly. */
async function changedNode(
  options: RouterServiceOptions,
  nodeId: string,
  isDraining: boolean,
  signal: AbortSignal,
): Promise<Node> {
  await untilAnnounced(options, nodeId, isDraining, signal);
  const facts = fleetFacts(options);
  const shown = showNode(nodeId, facts);
  if (shown === undefined) {
    throw new DroverError("node_not_found", `Node ${nodeId} was changed and has left the fleet since.`);
  }
  return nodeMessage(shown, facts.nowMs);
}

function untilAnnounced(
  { fleet, clock }: RouterServiceOptions,
  nodeId: string,
  isDraining: boolean,
  signal: AbortSignal,
): Promise<void> {
  const isAnnounced = (): boolean => (fleet.snapshot.byId.get(nodeId)?.availability === "draining") === isDraining;
  if (isAnnounced() || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      timer.cancel();
      stopListening();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.after(ANNOUNCED_WITHIN_MS, finish);
    const stopListening = fleet.onChange(() => {
      if (isAnnounced()) finish();
    });
    signal.addEventListener("abort", finish, { once: true });
  });
}
