/**
 * Which node gets the next attempt of a call: one that has not failed in it; only when there is none, the least recently
 * failed one, after a pause.
 */
import type { Picker, PickResult } from "../balancing/picker.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import type { FailedNodes } from "./failed-nodes.ts";

export interface ChoiceRequest {
  readonly picker: Picker;
  readonly snapshot: FleetSnapshot;
  readonly failed: FailedNodes;
  readonly nowMs: number;
}

/** `pause`: a node that failed may be tried again, `afterMs` from now. */
export type Choice = PickResult | { readonly kind: "pause"; readonly afterMs: number };

export function chooseNode({ picker, snapshot, failed, nowMs }: ChoiceRequest): Choice {
  const { profile } = failed;
  const fresh = picker.pick({ profile, excluded: failed.ids, nowMs }, snapshot);
  if (fresh.kind === "picked" || failed.isEmpty) return fresh;
  let afterMs: number | undefined;
  let waiting = fresh.kind === "wait" ? fresh : undefined;
  for (const { id, notBeforeMs } of failed.triable()) {
    const request = { profile, excluded: failed.allBut(id), nowMs };
    if (notBeforeMs > nowMs && picker.hasCandidate(request, snapshot)) {
      afterMs = Math.min(afterMs ?? Number.POSITIVE_INFINITY, notBeforeMs - nowMs);
      continue;
    }
    const again = picker.pick(request, snapshot);
    if (again.kind === "picked") return again;
    if (again.kind === "wait") waiting ??= again;
  }
  return afterMs === undefined ? (waiting ?? fresh) : { kind: "pause", afterMs };
}

/** Whether `chooseNode` would find one that takes work now, be it after a pause. */
export function hasNodeToTry({ picker, snapshot, failed, nowMs }: ChoiceRequest): boolean {
  const { profile } = failed;
  if (picker.hasCandidate({ profile, excluded: failed.ids, nowMs }, snapshot)) return true;
  return failed
    .triable()
    .some(({ id }) => picker.hasCandidate({ profile, excluded: failed.allBut(id), nowMs }, snapshot));
}
