import { describe, expect, it } from "vitest";
import type { MembershipUpdate } from "./membership.ts";
import { createStaticSource } from "./static-source.ts";

describe("a static source", () => {
  it("tells its endpoints once, each once, and ends when it is stopped", async () => {
    const stop = new AbortController();
    const updates: MembershipUpdate[] = [];
    const watching = (async () => {
      for await (const update of createStaticSource(["a:1", "b:1", "a:1"]).watch(stop.signal)) updates.push(update);
    })();
    await new Promise((resolve) => setImmediate(resolve));
    expect(updates).toEqual([{ kind: "reset", members: [{ endpoint: "a:1" }, { endpoint: "b:1" }] }]);
    stop.abort();
    await watching;
    expect(updates.length).toBe(1);
  });

  it("tells that there are none", async () => {
    const stopped = AbortSignal.abort();
    const updates: MembershipUpdate[] = [];
    for await (const update of createStaticSource([]).watch(stopped)) updates.push(update);
    expect(updates).toEqual([{ kind: "reset", members: [] }]);
  });
});
