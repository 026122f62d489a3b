/** The messages of WatchFleet. A snapshot of many models is told in several, since clients take 4 MiB at most by default. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WatchFleetResponseSchema } from "@drover/proto/drover/router/v1/router_pb";
import type { NodeChange } from "./node-change.ts";
import { nodeMessage, totalsMessage } from "./node-message.ts";
import { byName, type ShownNode } from "./shown-node.ts";

type FeedMessage = MessageInitShape<typeof WatchFleetResponseSchema>;

/** Models and nodes of one message; each takes a few hundred bytes at most, so that it stays around 1 MiB. */
const ENTRIES_MAX = 4_000;

export function* snapshotMessages(shown: Iterable<ShownNode>, nowMs: number): Generator<FeedMessage> {
  const all = [...shown].sort(byName);
  let continues = false;
  do {
    const nodes = takeSome(all).map((each) => nodeMessage(each, nowMs));
    yield { event: { case: "snapshot", value: { nodes, continues } } };
    continues = true;
  } while (all.length > 0);
}

/** Undefined where the node has left since: then that is told next. */
export function feedMessage(
  endpoint: string,
  change: NodeChange,
  shown: ShownNode | undefined,
  nowMs: number,
): FeedMessage | undefined {
  if (change.kind === "gone") {
    const { id, reason } = change;
    return { event: { case: "nodeRemoved", value: { id, endpoint, reason } } };
  }
  if (shown === undefined) return undefined;
  if (change.kind === "load") return { event: { case: "nodeLoadChanged", value: loadOf(shown) } };
  return { event: { case: "nodeChanged", value: { node: nodeMessage(shown, nowMs), reason: change.reason } } };
}

function loadOf({ endpoint, member, known }: ShownNode) {
  const load = member.link.kind === "connecting" ? undefined : member.link.known.parts.load;
  return {
    endpoint,
    ...(load === undefined ? {} : { load }),
    ...(known === undefined
      ? {}
      : {
          id: known.node.id,
          ownAttempts: known.ownAttempts,
          totals: totalsMessage(known.totals),
          healthScore: known.health.score,
        }),
  };
}

/** Takes as many from the front as fit into one message, at least one. */
function takeSome(all: ShownNode[]): ShownNode[] {
  let entries = 0;
  let count = 0;
  for (const { known } of all) {
    entries += 1 + (known?.node.models.size ?? 0);
    if (count > 0 && entries > ENTRIES_MAX) break;
    count++;
  }
  return all.splice(0, count);
}
