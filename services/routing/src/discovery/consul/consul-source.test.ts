import { SimClock, seededRng, silentLogger } from "@drover/platform";
import { expect, it } from "vitest";
import type { ConsulReader } from "./consul-reader.ts";
import { createConsulSource } from "./consul-source.ts";

function sourceOf(get: ConsulReader["get"]) {
  const reader = { displayUrl: "http://consul", get };
  return createConsulSource({
    clock: new SimClock(),
    rng: seededRng(1),
    log: silentLogger,
    reader,
    isAttached: () => false,
  });
}

async function drain(source: ReturnType<typeof sourceOf>, signal: AbortSignal): Promise<number> {
  let updates = 0;
  for await (const _ of source.watch(signal)) updates++;
  return updates;
}

it("fails for its reader when an error of our own ends the asking, instead of ending the process or falling silent", async () => {
  const source = sourceOf(() => Promise.reject(new TypeError("a bug")));
  await expect(drain(source, new AbortController().signal)).rejects.toThrow("a bug");
});

it("ends when it is told to, also while a question is open", async () => {
  const stop = new AbortController();
  const source = sourceOf(
    ({ signal }) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve({ kind: "failed", reason: "stopped" }));
      }),
  );
  const updates = drain(source, stop.signal);
  await Promise.resolve();
  stop.abort();
  expect(await updates).toBe(0);
});
