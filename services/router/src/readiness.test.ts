import { HealthRegistry } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { Readiness, readinessOf } from "./readiness.ts";

const snapshot = { nodes: [], byId: new Map(), members: [], isDiscovered: true };

describe("a router's readiness", () => {
  it("needs an open port and discovery's first answer, and no node", () => {
    const open = { isListening: true, isStopping: false, maintenance: undefined, snapshot };
    expect(readinessOf(open).isReady).toBe(true);
    expect(readinessOf({ ...open, isListening: false }).isReady).toBe(false);
    expect(readinessOf({ ...open, isStopping: true }).isReady).toBe(false);
    expect(readinessOf({ ...open, maintenance: "by hand" }).isReady).toBe(false);
    expect(readinessOf({ ...open, snapshot: { ...snapshot, isDiscovered: false } }).isReady).toBe(false);
  });

  it("names what each dependency lacks", () => {
    const undiscovered = { ...snapshot, isDiscovered: false };
    const stopping = { isListening: true, isStopping: true, maintenance: undefined, snapshot: undiscovered };
    expect(readinessOf(stopping).dependencies.map(({ name, detail }) => `${name}: ${detail}`)).toEqual([
      "listener: the router stops: it takes no new calls",
      "discovery: no source has answered yet",
      "nodes: 0 of 0 take work; the router is ready without any",
    ]);
  });

  it("tells grpc.health.v1 of each change", () => {
    const told: boolean[] = [];
    const health = new HealthRegistry();
    health.set = (_, isServing) => void told.push(isServing);
    const readiness = new Readiness(() => ({ isStopping: false, snapshot }), health, [""]);
    readiness.listening();
    readiness.setMaintenance("by hand");
    readiness.setMaintenance(undefined);
    expect(told).toEqual([false, true, false, true]);
  });
});
