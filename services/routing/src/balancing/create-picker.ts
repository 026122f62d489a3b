/**
 * A picker from a policy: filter, verdict when nobody is left, choice, lease.
 */
import { sortOut } from "./eligibility.ts";
import type { LeaseLedger } from "./lease-ledger.ts";
import type { Picker, Policy } from "./picker.ts";
import { verdictWithoutCandidate } from "./verdict.ts";

export function createPicker(policy: Policy, ledger: LeaseLedger): Picker {
  return {
    pick(request, snapshot) {
      const eligibility = sortOut(request, snapshot);
      if (eligibility.candidates.length === 0) return verdictWithoutCandidate(request, eligibility, snapshot);
      const node = policy.choose(eligibility.candidates, request.profile, ledger);
      return { kind: "picked", node, lease: ledger.open(node) };
    },
  };
}
