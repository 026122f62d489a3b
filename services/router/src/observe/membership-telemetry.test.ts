import { noTelemetry, SimClock, type Telemetry } from "@drover/platform";
import { expect, it } from "vitest";
import { observeMembership } from "./membership-telemetry.ts";

const clock = new SimClock();

function shown(): (name: string) => [number, Record<string, unknown>][] {
  const reads = new Map<string, Parameters<Telemetry["observe"]>[1]>();
  const telemetry: Telemetry = { ...noTelemetry, observe: (name, read) => void reads.set(name, read) };
  const silent = { kind: "suspect", reason: "gone" } as const;
  const link = { kind: "connecting", sinceMs: 0, failure: "" } as const;
  const told = { nodeId: undefined, nodeName: undefined, baseWeight: undefined };
  const members = [
    { endpoint: "a:1", sources: ["consul"], told: { ...told, standing: silent }, link },
    { endpoint: "b:1", sources: ["consul", "static"], told: { ...told, standing: { kind: "serving" } as const }, link },
    { endpoint: "c:1", sources: ["static"], link },
  ];
  const source = (name: string, answeredMs: number | undefined, trouble = "", suspicion = "") => ({
    name,
    status: () => ({ answeredMs, trouble, suspicion }),
  });
  const sources = [
    source("consul", clock.nowMs() - 90_000, "connection refused", "the list is empty"),
    source("static", 0),
    source("file", undefined),
  ];
  const snapshot = () => ({ nodes: [], byId: new Map(), members, isDiscovered: true });
  observeMembership({ telemetry, clock, sources, snapshot });
  return (name) => {
    const values: [number, Record<string, unknown>][] = [];
    reads.get(name)?.((value, attributes) => values.push([value, attributes]));
    return values;
  };
}

it("shows how old a source's word is; a list of flags has no age, nor what was never said", () => {
  clock.advance(100_000);
  expect(shown()("membershipAge")).toEqual([[90, { source: "consul" }]]);
});

it("shows which source cannot be asked, and which is not believed", () => {
  const show = shown();
  const flags = [
    [1, { source: "consul" }],
    [0, { source: "static" }],
    [0, { source: "file" }],
  ];
  expect(show("membershipTrouble")).toEqual(flags);
  expect(show("membershipSuspect")).toEqual(flags);
});

it("counts endpoints under each source that names them, and every standing, so that a graph falls to 0", () => {
  const members = shown()("members");
  expect(members).toHaveLength(12);
  expect(members.filter(([count]) => count > 0)).toEqual([
    [1, { source: "consul", standing: "serving" }],
    [1, { source: "consul", standing: "suspect" }],
    [2, { source: "static", standing: "serving" }],
  ]);
});
