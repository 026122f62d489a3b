/**
 * A picker from a policy: filter, verdict when nobody is left, choice, lease.
 */
import type { NodeView } from "../fleet/node-view.ts";
import { everyNodeHealthy, type HealthGate } from "../health/health-gate.ts";
import type { CallProfile } from "./call-profile.ts";
import { sortOut } from "./eligibility.ts";
import { exclusionWords } from "./exclusion-words.ts";
import type { LeaseLedger, OpenLease } from "./lease-ledger.ts";
import type { Lease, LoadReader, Picked, Picker, Policy } from "./picker.ts";
import { verdictWithoutCandidate } from "./verdict.ts";

/** Without `health` no node is ever hidden. */
export function createPicker(policy: Policy, ledger: LeaseLedger, health: HealthGate = everyNodeHealthy): Picker {
  const load = { extraLoad: (node: NodeView) => ledger.unackedSends(node) + health.failureLoad(node.id) };
  const own = { health, unackedSends: (node: NodeView) => ledger.unackedSends(node) };
  const take = (candidates: readonly NodeView[], profile: CallProfile): Picked => {
    const node = policy.choose(soundOnes(candidates), profile, load);
    const judge = health.begin(node, profile.modelKey);
    const shows: Lease["shows"] = (sign) => health.shows(node, sign);
    return { kind: "picked", node, lease: judgedLease(ledger.open(node), judge, shows) };
  };
  return {
    hasCandidate: (request, snapshot) => sortOut(request, snapshot, own).candidates.length > 0,
    pickFree(request, snapshot) {
      const { candidates } = sortOut(request, snapshot, own);
      const free = candidates.filter((node) => canBeginAtOnce(node, request.profile.modelKey, load));
      return free.length === 0 ? undefined : take(free, request.profile);
    },
    pick(request, snapshot) {
      const eligibility = sortOut(request, snapshot, own);
      if (eligibility.candidates.length === 0) return verdictWithoutCandidate(request, eligibility, snapshot, health);
      return take(eligibility.candidates, request.profile);
    },
    rank(request, snapshot) {
      const { profile } = request;
      const eligibility = sortOut(request, snapshot, own);
      const { candidates } = eligibility;
      const first = soundOnes(candidates);
      const firstOnes = new Set(first);
      const rank = (nodes: readonly NodeView[]) => (nodes.length === 0 ? [] : policy.rank(nodes, profile, load));
      return {
        policy: policy.name,
        ranked: [...rank(first), ...rank(candidates.filter((node) => !firstOnes.has(node)))],
        excluded: eligibility.excluded.map(({ node, exclusion }) => ({
          node,
          reason: exclusionWords(node, exclusion, profile, health),
        })),
        instead: candidates.length === 0 ? verdictWithoutCandidate(request, eligibility, snapshot, health) : undefined,
      };
    },
  };
}

/** Without those that discovery lost sight of, as long as anybody is left. */
function soundOnes(candidates: readonly NodeView[]): readonly NodeView[] {
  if (!candidates.some((node) => node.isSuspect)) return candidates;
  const sound = candidates.filter((node) => !node.isSuspect);
  return sound.length > 0 ? sound : candidates;
}

/** What this router sent without an answer so far, and what failed a moment ago, takes slots as well. */
function canBeginAtOnce(node: NodeView, modelKey: string, load: LoadReader): boolean {
  const extraLoad = load.extraLoad(node);
  const runners = node.runners.get(modelKey) ?? [];
  return runners.some(
    ({ state, queued, active, slots }) => state === "loaded" && queued === 0 && active + extraLoad < slots,
  );
}

/** A lease whose end is told to health. */
function judgedLease(lease: OpenLease, judge: ReturnType<HealthGate["begin"]>, shows: Lease["shows"]): Lease {
  return {
    send: lease.send,
    shows,
    end: (verdict = "neutral") => {
      lease.end();
      judge(verdict);
    },
  };
}
