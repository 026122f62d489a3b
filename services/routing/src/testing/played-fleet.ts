/**
 * A fleet whose Attach streams are played by the test, with all that a router knows of it beside that.
 */
import { create } from "@bufbuild/protobuf";
import { SimClock, silentLogger } from "@drover/platform";
import { StatusSchema, WelcomeSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { fleetFacts } from "../api/fleet-facts.ts";
import { LeaseLedger } from "../balancing/lease-ledger.ts";
import { NodeTally } from "../dispatch/node-tally.ts";
import { Fleet } from "../fleet/fleet.ts";
import { NodeHealth } from "../health/node-health.ts";

type Report = Parameters<ConstructorParameters<typeof Fleet>[0]["openLink"]>[1];

export function playFleet() {
  const clock = new SimClock();
  const reports = new Map<string, Report>();
  const fleet = new Fleet({
    clock,
    log: silentLogger,
    sources: ["static"],
    openLink: (endpoint, report) => {
      reports.set(endpoint, report);
      return { close: () => reports.delete(endpoint) };
    },
  });
  const ledger = new LeaseLedger();
  const health = new NodeHealth({ clock, log: silentLogger });
  const tally = new NodeTally();
  const facts = () => fleetFacts({ clock, fleet, ledger, health, tally });
  const attach = (endpoint: string, id: string, name = id): void => {
    const welcome = create(WelcomeSchema, { node: { id, name, incarnation: endpoint }, routerSecret: "s" });
    reports.get(endpoint)?.({ kind: "welcomed", welcome, atMs: clock.nowMs() });
  };
  const status = (endpoint: string, parts: Parameters<typeof create<typeof StatusSchema>>[1] = {}): void =>
    reports.get(endpoint)?.({ kind: "status", status: create(StatusSchema, parts), atMs: clock.nowMs() });
  const whole = { condition: { isOllamaReachable: true }, load: {}, inventory: { isComplete: true } };
  const lose = (endpoint: string, reason: string): void =>
    reports.get(endpoint)?.({ kind: "lost", reason, atMs: clock.nowMs() });
  const members = (...endpoints: string[]): void =>
    fleet.apply("static", { kind: "reset", members: endpoints.map((endpoint) => ({ endpoint })) });
  return { clock, fleet, ledger, health, facts, attach, status, whole, lose, members };
}
