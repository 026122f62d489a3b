/**
 * SelectNode: where a call would go now and why. It asks the picker that the calls go by, and changes nothing.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, DroverError, type EndingKind } from "@drover/platform";
import type { SelectNodeRequest, SelectNodeResponseSchema } from "@drover/proto/drover/router/v1/router_pb";
import type { CallProfile } from "../balancing/call-profile.ts";
import type { Picker, Ranking } from "../balancing/picker.ts";
import { profileOf } from "../dispatch/read-profile.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { identityOf } from "../fleet/link-state.ts";
import { strangerDetail } from "./node-message.ts";

export interface SelectionParts {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly picker: Picker;
}

/** As much as fits into the metadata of a call. */
const TEXT_MAX = 1_024;

/** What is asked for does not exist, so that there is nothing to say of nodes. */
const NO_SUCH: ReadonlySet<EndingKind> = new Set(["model_not_found", "node_not_found", "node_name_ambiguous"]);

export function selectNode(
  parts: SelectionParts,
  request: SelectNodeRequest,
): MessageInitShape<typeof SelectNodeResponseSchema> {
  const ranking = rankingFor(parts, readSelection(request));
  const { instead } = ranking;
  if (instead?.kind === "refused" && NO_SUCH.has(instead.error.kind)) throw instead.error;
  return {
    policy: ranking.policy,
    instead: instead?.error.message ?? "",
    ranking: ranking.ranked.map(({ node, cost, terms }) => ({
      nodeId: node.id,
      nodeName: node.name,
      cost,
      terms: { ...terms },
      detail: node.isSuspect ? node.detail : "",
    })),
    excluded: [
      ...ranking.excluded.map(({ node, reason }) => ({
        nodeId: node.id,
        nodeName: node.name,
        reason,
        endpoint: node.endpoint,
      })),
      ...strangers(parts.fleet),
    ],
  };
}

/** What a pick would be for a call with this profile that comes now. */
export function rankingFor({ clock, fleet, picker }: SelectionParts, profile: CallProfile): Ranking {
  return picker.rank({ profile, excluded: new Set(), nowMs: clock.nowMs() }, fleet.snapshot);
}

function strangers(fleet: Fleet) {
  const unknown = fleet.snapshot.members.filter(({ link }) => identityOf(link) === undefined);
  return unknown.map((member) => ({ endpoint: member.endpoint, reason: strangerDetail(member) }));
}

function readSelection({ model, labels, capabilities, session, node }: SelectNodeRequest): CallProfile {
  const texts = [node, session, ...capabilities, ...Object.entries(labels).flat()];
  if (texts.join("").length > TEXT_MAX) {
    const what = "node, session, labels and capabilities together";
    throw new DroverError("malformed_request", `The request is too long: ${what} take at most ${TEXT_MAX} characters.`);
  }
  return profileOf(model, {
    labels: new Map(Object.entries(labels)),
    capabilities,
    session: session === "" ? undefined : session,
    node: node === "" ? undefined : node,
  });
}
