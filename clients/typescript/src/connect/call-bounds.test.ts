import process from "node:process";
import { SimClock } from "@drover/platform";
import { expect, it } from "vitest";
import { CallBounds } from "./call-bounds.ts";

it("hears of a failure that nobody waits for any more, so that it does not end the process", async () => {
  const unheard: unknown[] = [];
  const note = (reason: unknown): void => void unheard.push(reason);
  process.on("unhandledRejection", note);
  try {
    const bounds = new CallBounds(new SimClock(), AbortSignal.abort(), undefined);
    const failing = Promise.reject(new Error("no token"));
    await expect(bounds.wait(failing)).rejects.toThrow("The caller cancelled the call.");
    // Node tells of them after the microtasks of a turn.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unheard).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
  }
});
