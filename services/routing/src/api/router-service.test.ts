import { create } from "@bufbuild/protobuf";
import { createContextValues, createHandlerContext } from "@connectrpc/connect";
import { SimClock, silentLogger } from "@drover/platform";
import { StatusSchema, WelcomeSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { type Node, NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { describe, expect, it } from "vitest";
import { createPicker } from "../balancing/create-picker.ts";
import { LeaseLedger } from "../balancing/lease-ledger.ts";
import { createPolicy } from "../balancing/policies.ts";
import { NodeTally } from "../dispatch/node-tally.ts";
import { Fleet } from "../fleet/fleet.ts";
import { NodeHealth } from "../health/node-health.ts";
import { fleetFacts } from "./fleet-facts.ts";
import { FleetFeed } from "./fleet-feed.ts";
import { createRouterService } from "./router-service.ts";

type Report = Parameters<ConstructorParameters<typeof Fleet>[0]["openLink"]>[1];

/** A fleet of one node whose agent does what it is asked, and announces it when the test says so. */
function build() {
  const clock = new SimClock();
  const asked: string[] = [];
  let report: Report | undefined;
  const openLink = (_endpoint: string, given: Report) => {
    report = given;
    return { close: () => undefined };
  };
  const fleet = new Fleet({ clock, log: silentLogger, openLink, sources: ["test"] });
  const announce = (isDraining: boolean): void => {
    const condition = { isOllamaReachable: true, isDraining };
    const status = create(StatusSchema, { condition, load: {}, inventory: { isComplete: true } });
    report?.({ kind: "status", status, atMs: clock.nowMs() });
  };
  fleet.apply("test", { kind: "reset", members: [{ endpoint: "a:1" }] });
  const welcome = create(WelcomeSchema, { node: { id: "one", name: "first" }, routerSecret: "s" });
  report?.({ kind: "welcomed", welcome, atMs: 0 });
  announce(false);
  const agents = {
    drain: async (node: { name: string }, reason: string) => void asked.push(`drain ${node.name} ${reason}`),
    resume: async (node: { name: string }) => void asked.push(`resume ${node.name}`),
  };
  const parts = {
    clock,
    fleet,
    ledger: new LeaseLedger(),
    health: new NodeHealth({ clock, log: silentLogger }),
    tally: new NodeTally(),
    picker: createPicker(createPolicy("weighted"), new LeaseLedger()),
    agents,
  };
  const stopSignal = new AbortController().signal;
  const feed = new FleetFeed({ ...parts, facts: () => fleetFacts(parts), stopSignal });
  const service = createRouterService({ ...parts, feed });
  const context = createHandlerContext({
    service: RouterService,
    method: RouterService.method.drainNode,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://router/",
    contextValues: createContextValues(),
  });
  const drain = async (): Promise<Node | undefined> => {
    const request = create(RouterService.method.drainNode.input, { node: "first", reason: "new fan" });
    return (await service.drainNode(request, context)).node as Node | undefined;
  };
  return { clock, fleet, asked, announce, drain, leave: () => context.abort() };
}

describe("draining a node", () => {
  it("is answered when this router has heard of it, so that the next call is placed accordingly", async () => {
    const { clock, asked, announce, drain } = build();
    let answer: Node | undefined;
    const drained = drain().then((node) => {
      answer = node;
    });
    await clock.advanceAsync(500);
    expect([asked, answer]).toEqual([["drain first new fan"], undefined]);
    announce(true);
    await clock.advanceAsync(0);
    await drained;
    expect(answer?.availability).toBe(NodeAvailability.DRAINING);
  });

  it("waits for that no longer than a second", async () => {
    const { clock, drain } = build();
    const drained = drain();
    await clock.advanceAsync(1_000);
    expect((await drained)?.availability).toBe(NodeAvailability.AVAILABLE);
  });

  it("waits for it no longer than its caller", async () => {
    const { clock, drain, leave } = build();
    await clock.advanceAsync(1);
    const before = clock.pendingCount;
    const drained = drain();
    await clock.advanceAsync(10);
    expect(clock.pendingCount).toBe(before + 1);
    leave();
    await drained;
    expect(clock.pendingCount).toBe(before);
  });

  it("is answered NOT_FOUND when the node has left the fleet meanwhile", async () => {
    const { clock, fleet, drain } = build();
    const drained = drain().catch((error: Error) => error.message);
    fleet.apply("test", { kind: "reset", members: [] });
    await clock.advanceAsync(1_000);
    expect(await drained).toContain("has left the fleet");
  });
});
