import { describe, expect, it } from "vitest";
import { readinessOf } from "./readiness.ts";

const snapshot = { nodes: [], byId: new Map(), members: [], isDiscovered: true };

describe("a router's readiness", () => {
  it("needs an open port and discovery's first answer, and no node", () => {
    const open = { isListening: true, isStopping: false, snapshot };
    expect(readinessOf(open).isReady).toBe(true);
    expect(readinessOf({ ...open, isListening: false }).isReady).toBe(false);
    expect(readinessOf({ ...open, isStopping: true }).isReady).toBe(false);
    expect(readinessOf({ ...open, snapshot: { ...snapshot, isDiscovered: false } }).isReady).toBe(false);
  });

  it("names what each dependency lacks", () => {
    const stopping = { isListening: true, isStopping: true, snapshot: { ...snapshot, isDiscovered: false } };
    expect(readinessOf(stopping).dependencies.map(({ name, detail }) => `${name}: ${detail}`)).toEqual([
      "listener: the router stops: it takes no new calls",
      "discovery: no source has answered yet",
      "nodes: 0 of 0 take work; the router is ready without any",
    ]);
  });
});
