import { InvariantError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { nodeView } from "../testing/node-views.ts";
import { LeaseLedger } from "./lease-ledger.ts";

describe("LeaseLedger", () => {
  it("counts a send as unacknowledged at once", () => {
    const ledger = new LeaseLedger();
    const node = nodeView("a");
    ledger.open(node);
    ledger.open(node);
    expect(ledger.unackedSends(node)).toBe(2);
    expect(ledger.openLeases("id-a")).toBe(2);
    expect(ledger.unackedSends(nodeView("b"))).toBe(0);
  });

  it("stops counting sends that the node's status takes into account", () => {
    const ledger = new LeaseLedger();
    const [first, second] = [ledger.open(nodeView("a")), ledger.open(nodeView("a"))];
    expect(ledger.unackedSends(nodeView("a", { ackedSend: first.send }))).toBe(1);
    expect(ledger.unackedSends(nodeView("a", { ackedSend: second.send }))).toBe(0);
    expect(ledger.openLeases("id-a")).toBe(2);
  });

  it("does not count acknowledged sends again when an older status is read", () => {
    const ledger = new LeaseLedger();
    const { send } = ledger.open(nodeView("a"));
    ledger.unackedSends(nodeView("a", { ackedSend: send }));
    expect(ledger.unackedSends(nodeView("a", { ackedSend: 0 }))).toBe(0);
  });

  it("keeps the sends of nodes apart, although their numbers rise together", () => {
    const ledger = new LeaseLedger();
    ledger.open(nodeView("a"));
    const toB = ledger.open(nodeView("b"));
    ledger.unackedSends(nodeView("b", { ackedSend: toB.send }));
    expect(ledger.unackedSends(nodeView("a"))).toBe(1);
  });

  it("stops counting what was sent before the node's Attach stream began anew", () => {
    const ledger = new LeaseLedger();
    ledger.open(nodeView("a"));
    const anew = nodeView("a", { routerSecret: "another" });
    expect(ledger.unackedSends(anew)).toBe(0);
    ledger.open(anew);
    expect(ledger.unackedSends(anew)).toBe(1);
    expect(ledger.openLeases("id-a")).toBe(2);
  });

  it("stops counting a send that ended before it was acknowledged", () => {
    const ledger = new LeaseLedger();
    const [first] = [ledger.open(nodeView("a")), ledger.open(nodeView("a"))];
    first.end();
    expect(ledger.unackedSends(nodeView("a"))).toBe(1);
  });

  it("refuses to end a lease twice, which would free another call's count", () => {
    const ledger = new LeaseLedger();
    const lease = ledger.open(nodeView("a"));
    ledger.open(nodeView("a"));
    lease.end();
    expect(() => lease.end()).toThrow(InvariantError);
    expect(ledger.openLeases("id-a")).toBe(1);
  });

  it("comes back to nothing when all leases ended, over nodes and streams", () => {
    const ledger = new LeaseLedger();
    const leases = Array.from({ length: 300 }, (_, index) =>
      ledger.open(nodeView(`n${index % 7}`, { routerSecret: `secret-${Math.floor(index / 50)}`, ackedSend: index })),
    );
    for (const lease of leases) lease.end();
    expect(ledger.openTotal).toBe(0);
    expect(ledger.unackedSends(nodeView("n1"))).toBe(0);
  });
});
