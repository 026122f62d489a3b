/**
 * What changed of a node from one look to the next, in words for people. Load alone is told apart: it changes all the time, and
 * is sent without the rest. Pure.
 */
import { listed } from "@drover/platform";
import type { LastKnown } from "../fleet/link-state.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { FleetMember } from "../fleet/snapshot.ts";
import { isShownEjected, strangerDetail } from "./node-message.ts";
import type { KnownNode, ShownNode } from "./shown-node.ts";

/** `whole` and `gone` have a reason in plain words, never an empty one. */
export type NodeChange =
  | { readonly kind: "load" }
  | { readonly kind: "whole"; readonly reason: string }
  | { readonly kind: "gone"; readonly id: string; readonly reason: string };

/** `decided`: what discovery decided of it since the last look. Undefined: it looks the same. */
export function changeOf(
  before: ShownNode | undefined,
  now: ShownNode,
  decided: string | undefined,
): NodeChange | undefined {
  const reasons = [decided ?? "", ...(before === undefined ? [] : differences(before, now))].filter(Boolean);
  if (reasons.length > 0) return { kind: "whole", reason: reasons.join("; ") };
  // Two endpoints of one node: the one that speaks for it is shown.
  if (before === undefined) return { kind: "whole", reason: "the node speaks through this endpoint now" };
  return hasOtherLoad(before, now) ? { kind: "load" } : undefined;
}

/** Of a node that is shown no longer. */
export function goneChange(before: ShownNode, decided: string | undefined): NodeChange {
  const reason = decided ?? "the node speaks through another endpoint now";
  return { kind: "gone", id: before.known?.node.id ?? "", reason };
}

/** The reasons of both, the earlier one first; the later one says what is left to send. */
export function mergeChanges(earlier: NodeChange | undefined, later: NodeChange): NodeChange {
  if (earlier === undefined || later.kind === "gone") return later;
  if (later.kind === "load") return earlier;
  if (earlier.kind === "load" || earlier.reason === later.reason) return later;
  return { kind: "whole", reason: `${earlier.reason}; ${later.reason}`.slice(0, REASON_MAX) };
}

/** Of a watcher that is slow: then the latest state matters more than each step to it. */
const REASON_MAX = 1_024;

function differences(before: ShownNode, now: ShownNode): string[] {
  const sources = isSameList(before.sources, now.sources) ? [] : [`named by ${now.sources.join(", ")}`];
  if (now.known === undefined) {
    const detail = strangerDetail(now.member);
    return [...(detail === strangerDetail(before.member) ? [] : [detail]), ...sources];
  }
  if (before.known === undefined) return ["attached", standingOf(now.known), ...sources];
  return [
    ...attachment(before.member, now.member),
    ...standing(before.known, now.known),
    ...models(before.known.node, now.known.node),
    ...naming(before.known.node, now.known.node),
    ...sources,
  ];
}

/** Whether it takes work, and why not. */
function standing(before: KnownNode, now: KnownNode): string[] {
  const wasEjected = isShownEjected(before);
  if (isShownEjected(now)) return wasEjected ? [] : [now.health.detail];
  if (wasEjected && now.node.availability === "available") return ["back from ejection"];
  const isSame = before.node.availability === now.node.availability && before.node.detail === now.node.detail;
  return isSame ? [] : [standingOf(now)];
}

function standingOf({ node }: KnownNode): string {
  return node.detail === "" ? "takes work" : node.detail;
}

function attachment(before: FleetMember, now: FleetMember): string[] {
  const [old, known] = [knownOf(before), knownOf(now)];
  const isRestarted = old?.parts.identity.incarnation !== known?.parts.identity.incarnation;
  const version = known?.parts.condition?.ollamaVersion ?? "";
  const isOtherOllama = version !== "" && version !== old?.parts.condition?.ollamaVersion;
  return [...(isRestarted ? ["its agent restarted"] : []), ...(isOtherOllama ? [`its Ollama is ${version}`] : [])];
}

function knownOf({ link }: FleetMember): LastKnown | undefined {
  return link.kind === "connecting" ? undefined : link.known;
}

function models({ models: before }: NodeView, { models: now }: NodeView): string[] {
  if (before === now) return [];
  const added = [...now].filter(([key]) => !before.has(key)).map(([, model]) => model.name);
  const removed = [...before].filter(([key]) => !now.has(key)).map(([, model]) => model.name);
  if (added.length + removed.length === 0) return now.size === 0 ? [] : ["its models changed"];
  return [
    ...(added.length > 0 ? [`has ${listed(added)} now`] : []),
    ...(removed.length > 0 ? [`no longer has ${listed(removed)}`] : []),
  ];
}

function naming(before: NodeView, now: NodeView): string[] {
  if (before.name !== now.name) return [`is named ${now.name} now`];
  if (before.isNameShared === now.isNameShared) return [];
  return [now.isNameShared ? "another node has the same name" : "no other node has its name any more"];
}

function hasOtherLoad(before: ShownNode, now: ShownNode): boolean {
  return (
    knownOf(before.member)?.parts.load !== knownOf(now.member)?.parts.load ||
    before.known?.ownAttempts !== now.known?.ownAttempts ||
    before.known?.totals !== now.known?.totals ||
    before.known?.health.score !== now.known?.health.score
  );
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
