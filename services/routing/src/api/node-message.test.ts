import { NodeAvailability } from "@drover/proto/drover/router/v1/router_pb";
import { describe, expect, it } from "vitest";
import { playFleet } from "../testing/played-fleet.ts";
import { nodeMessage } from "./node-message.ts";
import { byName, type FleetFacts, showNode, showNodes } from "./shown-node.ts";

function toNodeMessages(facts: FleetFacts) {
  return showNodes(facts)
    .sort(byName)
    .map((shown) => nodeMessage(shown, facts.nowMs));
}

function toNodeMessage(nodeId: string, facts: FleetFacts) {
  const shown = showNode(nodeId, facts);
  return shown === undefined ? undefined : nodeMessage(shown, facts.nowMs);
}

describe("a node as RouterService shows it", () => {
  it("is an endpoint that connects until its first failure, and unreachable with the reason after it", () => {
    const { members, lose, facts } = playFleet();
    members("a:1");
    expect(toNodeMessages(facts())).toMatchObject([
      { endpoint: "a:1", availability: NodeAvailability.CONNECTING, detail: "its agent has not answered yet" },
    ]);
    lose("a:1", "nothing listens");
    expect(toNodeMessages(facts())).toMatchObject([
      { endpoint: "a:1", availability: NodeAvailability.UNREACHABLE, detail: "nothing listens", sources: ["static"] },
    ]);
    expect(toNodeMessages(facts())[0]?.identity).toBeUndefined();
  });

  it("says what discovery tells of an endpoint that has not answered", () => {
    const { fleet, facts } = playFleet();
    const standing = { kind: "draining", reason: "in maintenance in Consul" } as const;
    fleet.apply("consul", { kind: "upsert", member: { endpoint: "a:1", nodeName: "gpu-1", standing } });
    const [node] = toNodeMessages(facts());
    expect(node?.detail).toBe("its agent has not answered yet; discovery calls it gpu-1; in maintenance in Consul");
  });

  it("counts the age of its status from the last heartbeat, which changes nothing else", () => {
    const { members, attach, status, whole, facts, clock } = playFleet();
    members("a:1");
    attach("a:1", "one");
    status("a:1", whole);
    const before = facts().snapshot;
    clock.advance(900);
    status("a:1");
    clock.advance(250);
    expect(facts().snapshot).toBe(before);
    expect(toNodeMessage("one", facts())?.statusAge).toMatchObject({ seconds: 0n, nanos: 250_000_000 });
  });

  it("keeps what was known of a node that was lost, with its age", () => {
    const { members, attach, status, whole, lose, facts, clock } = playFleet();
    members("a:1");
    attach("a:1", "one");
    status("a:1", whole);
    lose("a:1", "the connection to its agent was lost");
    clock.advance(2_000);
    expect(toNodeMessage("one", facts())).toMatchObject({
      availability: NodeAvailability.UNREACHABLE,
      detail: "the connection to its agent was lost",
      statusAge: { seconds: 2n },
      inventory: { isComplete: true },
    });
  });

  it("has every endpoint's source, and this router's own attempts", () => {
    const { fleet, members, attach, status, whole, ledger, facts } = playFleet();
    members("a:1");
    fleet.apply("other", { kind: "upsert", member: { endpoint: "b:1" } });
    attach("a:1", "one");
    status("a:1", whole);
    const [node] = facts().snapshot.nodes;
    if (node === undefined) throw new Error("no node");
    const lease = ledger.open(node);
    expect(toNodeMessage("one", facts())).toMatchObject({ ownAttempts: 1, sources: ["static"] });
    lease.end();
    expect(toNodeMessage("one", facts())?.ownAttempts).toBe(0);
    expect(toNodeMessages(facts()).map((each) => each.sources)).toEqual([["static"], ["other"]]);
  });

  it("is ejected with the reason after failures in a row, unless it says itself why it takes no work", () => {
    const { fleet, members, attach, status, whole, health, facts } = playFleet();
    members("a:1", "b:1");
    for (const endpoint of ["a:1", "b:1"]) {
      attach(endpoint, endpoint);
      status(endpoint, whole);
    }
    health.follow(fleet.snapshot.byId);
    expect(toNodeMessage("a:1", facts())).toMatchObject({ availability: NodeAvailability.AVAILABLE, healthScore: 1 });
    for (let count = 0; count < 5; count++) health.begin({ id: "a:1", slots: 1 }, "m")("node");
    expect(toNodeMessage("a:1", facts())).toMatchObject({
      availability: NodeAvailability.EJECTED,
      detail: "ejected after 5 failures in a row, tried again in 60 s",
      healthScore: 0,
    });
    status("a:1", { condition: { isDraining: true } });
    expect(toNodeMessage("a:1", facts())?.availability).toBe(NodeAvailability.DRAINING);
  });

  it("is nobody when it has left the fleet", () => {
    expect(toNodeMessage("gone", playFleet().facts())).toBeUndefined();
  });
});
