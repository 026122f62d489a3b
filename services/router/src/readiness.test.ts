import { HealthRegistry } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { Readiness, readinessOf } from "./readiness.ts";

const snapshot = { nodes: [], byId: new Map(), members: [], isDiscovered: true };
const well = { answeredMs: 0, trouble: "", suspicion: "" };
const sources = [{ name: "static", status: well }];
const facts = { snapshot, sources, nowMs: 0 };

describe("a router's readiness", () => {
  it("needs an open port and discovery's first answer, and no node", () => {
    const open = { isListening: true, isStopping: false, maintenance: undefined, ...facts };
    expect(readinessOf(open).isReady).toBe(true);
    expect(readinessOf({ ...open, isListening: false }).isReady).toBe(false);
    expect(readinessOf({ ...open, isStopping: true }).isReady).toBe(false);
    expect(readinessOf({ ...open, maintenance: "by hand" }).isReady).toBe(false);
  });

  it("needs one discovery source that has answered, and no other", () => {
    const open = { isListening: true, isStopping: false, maintenance: undefined, ...facts };
    const consul = {
      name: "consul",
      status: { answeredMs: undefined, trouble: "nothing listens there", suspicion: "" },
    };
    expect(readinessOf({ ...open, sources: [consul] }).isReady).toBe(false);
    expect(readinessOf({ ...open, sources: [consul, ...sources] }).isReady).toBe(true);
  });

  it("says what is wrong with a source, and since when", () => {
    const detailOf = (status: Partial<typeof well>) => {
      const consul = { name: "consul", status: { ...well, ...status } };
      const state = { isListening: true, isStopping: false, maintenance: undefined, ...facts };
      return readinessOf({ ...state, sources: [consul], nowMs: 65_000 }).dependencies[1]?.detail;
    };
    expect(detailOf({})).toBe("0 endpoints");
    expect(detailOf({ trouble: "nothing listens there" })).toBe(
      "0 endpoints; consul: nothing listens there; last answered 65 s ago; its list stands",
    );
    expect(detailOf({ suspicion: "Consul lists nobody" })).toBe("0 endpoints; consul: Consul lists nobody");
  });

  it("names what each dependency lacks", () => {
    const silent = [{ name: "consul", status: { answeredMs: undefined, trouble: "", suspicion: "" } }];
    const stopping = { isListening: true, isStopping: true, maintenance: undefined, ...facts, sources: silent };
    expect(readinessOf(stopping).dependencies.map(({ name, detail }) => `${name}: ${detail}`)).toEqual([
      "listener: the router stops: it takes no new calls",
      "discovery: 0 endpoints; consul: has not answered yet",
      "nodes: 0 of 0 take work; the router is ready without any",
    ]);
  });

  it("tells grpc.health.v1 of each change", () => {
    const told: boolean[] = [];
    const health = new HealthRegistry();
    health.set = (_, isServing) => void told.push(isServing);
    const readiness = new Readiness(() => ({ isStopping: false, ...facts }), health, [""]);
    readiness.listening();
    readiness.setMaintenance("by hand");
    readiness.setMaintenance(undefined);
    expect(told).toEqual([false, true, false, true]);
  });
});
