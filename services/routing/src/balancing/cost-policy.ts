/**
 * A policy from a rule: the smallest cost wins, and equals take turns in proportion to their shares. What the rules have in
 * common is here, so that the ranking that people are shown cannot say something else than the choice.
 */
import type { NodeView } from "../fleet/node-view.ts";
import type { CallProfile } from "./call-profile.ts";
import type { LoadReader, Policy, RankedNode } from "./picker.ts";
import { Rotation } from "./rotation.ts";
import { smallest } from "./smallest.ts";

export interface CostRule {
  readonly name: string;
  /** Smaller is better. Runs for every candidate of every pick, so it allocates nothing. */
  cost(node: NodeView, profile: CallProfile, load: LoadReader): number;
  /** What the cost is made of, for people. */
  terms(node: NodeView, profile: CallProfile, load: LoadReader): Readonly<Record<string, number>>;
  /** Of turns among equals, over 0. */
  share(node: NodeView): number;
}

export function createCostPolicy(rule: CostRule): Policy {
  const rotation = new Rotation();
  return {
    name: rule.name,
    choose(candidates, profile, load) {
      const best = smallest(candidates, (node) => rule.cost(node, profile, load));
      return rotation.next(best, rule.share);
    },
    rank(candidates, profile, load) {
      const costOf = (node: NodeView): number => rule.cost(node, profile, load);
      const best = smallest(candidates, costOf);
      const bestOnes = new Set(best);
      const others = candidates.filter((node) => !bestOnes.has(node));
      // Apart, because turns are taken among the best alone. The sort is stable, so equals stay in the order of their turns.
      const behind = [...rotation.order(others, rule.share)].sort((a, b) => costOf(a) - costOf(b));
      return [...rotation.order(best, rule.share), ...behind].map(
        (node): RankedNode => ({ node, cost: costOf(node), terms: rule.terms(node, profile, load) }),
      );
    },
  };
}
