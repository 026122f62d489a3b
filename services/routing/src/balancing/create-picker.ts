/**
 * A picker from a policy: filter, verdict when nobody is left, choice, lease.
 */
import type { NodeView } from "../fleet/node-view.ts";
import { everyNodeHealthy, type HealthGate } from "../health/health-gate.ts";
import { sortOut } from "./eligibility.ts";
import type { LeaseLedger } from "./lease-ledger.ts";
import type { Lease, Picker, Policy } from "./picker.ts";
import { verdictWithoutCandidate } from "./verdict.ts";

/** Without `health` no node is ever hidden. */
export function createPicker(policy: Policy, ledger: LeaseLedger, health: HealthGate = everyNodeHealthy): Picker {
  const load = { extraLoad: (node: NodeView) => ledger.unackedSends(node) + health.failureLoad(node.id) };
  return {
    hasCandidate: (request, snapshot) => sortOut(request, snapshot, health).candidates.length > 0,
    pick(request, snapshot) {
      const eligibility = sortOut(request, snapshot, health);
      if (eligibility.candidates.length === 0) return verdictWithoutCandidate(request, eligibility, snapshot, health);
      const node = policy.choose(soundOnes(eligibility.candidates), request.profile, load);
      return {
        kind: "picked",
        node,
        lease: judgedLease(ledger.open(node), health.begin(node, request.profile.modelKey)),
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

/** A lease whose end is told to health. */
function judgedLease(lease: Lease, judge: ReturnType<HealthGate["begin"]>): Lease {
  return {
    send: lease.send,
    end: (verdict = "neutral") => {
      lease.end();
      judge(verdict);
    },
  };
}
