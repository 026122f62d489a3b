import { type EndingKind, SimClock, seededRng, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { NodeView } from "../fleet/node-view.ts";
import { verdictOf } from "../health/health-gate.ts";
import { NodeHealth } from "../health/node-health.ts";
import { callProfile, nodeView, snapshotOf } from "../testing/node-views.ts";
import { createPicker } from "./create-picker.ts";
import { LeaseLedger } from "./lease-ledger.ts";
import { createPolicy, type PolicyName } from "./policies.ts";

const CALLS = 3_000;
const EVERY_MS = 100;

/** 300 s of calls at 10 a second, each of which takes 2 s, on 3 nodes of 8 slots; one of them fails each call in 1 ms. */
function shares(policy: PolicyName, kind: EndingKind, hasHealth = true): Record<string, number> {
  const clock = new SimClock();
  const rng = seededRng(11);
  const ledger = new LeaseLedger();
  const health = new NodeHealth({ clock, log: silentLogger });
  const picker = createPicker(createPolicy(policy), ledger, ...(hasHealth ? [health] : []));
  const nodes = new Map<string, NodeView>(["bad", "good", "fine"].map((name) => [name, nodeView(name, { slots: 8 })]));
  health.follow(snapshotOf([...nodes.values()]).byId);
  const change = (name: string, by: number, ackedSend: number): void => {
    const node = nodes.get(name);
    if (node !== undefined) {
      nodes.set(name, { ...node, active: node.active + by, ackedSend: Math.max(node.ackedSend, ackedSend) });
    }
  };
  const counts: Record<string, number> = { bad: 0, good: 0, fine: 0 };
  for (let call = 0; call < CALLS; call++) {
    const request = { profile: callProfile(), excluded: new Set<string>(), nowMs: clock.nowMs() };
    const result = picker.pick(request, snapshotOf([...nodes.values()]));
    if (result.kind !== "picked") throw result.error;
    const { node, lease } = result;
    counts[node.name] = (counts[node.name] ?? 0) + 1;
    change(node.name, 1, lease.send);
    const isBad = node.name === "bad";
    clock.after(isBad ? 1 : 1_500 + rng.next() * 1_000, () => {
      lease.end(isBad ? verdictOf(kind) : "success");
      change(node.name, -1, 0);
    });
    clock.advance(EVERY_MS);
  }
  return counts;
}

describe("a node that fails each call at once", () => {
  it("would win nearly all calls without health", () => {
    expect(shares("least-connections", "ollama_failed", false)["bad"]).toBeGreaterThan(0.9 * CALLS);
  });

  it.each(["weighted", "least-connections", "round-robin"] as const)(
    "gets a handful of calls before its ejection and one for each try after it, by %s",
    (policy) => {
      for (const kind of ["node_protocol_error", "ollama_failed"] as const) {
        // Five, and canaries after 60, 180 and maybe 420 s.
        expect(shares(policy, kind)["bad"]).toBeLessThanOrEqual(8);
      }
    },
  );

  it.each(["weighted", "least-connections"] as const)(
    "gets no more than its share where its failures do not count against it, by %s",
    (policy) => {
      expect(shares(policy, "ollama_busy")["bad"]).toBeLessThan(CALLS / 3);
    },
  );
});
