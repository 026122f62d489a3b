import { describe, expect, it } from "vitest";
import { nodeView } from "../testing/node-views.ts";
import { Rotation } from "./rotation.ts";

describe("Rotation", () => {
  it("forgets nodes that left, so that a fleet in motion does not fill the memory", () => {
    const rotation = new Rotation();
    let most = 0;
    for (let round = 0; round < 10_000; round++) {
      rotation.next([nodeView("stays"), nodeView(`leaves-${round}`)], () => 1);
      most = Math.max(most, rotation.size);
    }
    expect(most).toBeLessThanOrEqual(1_024 + 4);
    expect(most).toBeGreaterThan(1_000);
  });

  it("has no answer without nodes", () => {
    expect(() => new Rotation().next([], () => 1)).toThrow(RangeError);
  });
});
