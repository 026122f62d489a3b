/** What a router says of an agent that stops in order, and of one that vanishes. */
import { afterEach, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";

let running: DroverProcess[] = [];
afterEach(async () => {
  await Promise.all(running.map((each) => each.stop("SIGKILL")));
  running = [];
});

test.each([
  ["SIGTERM", "its agent has stopped"],
  ["SIGKILL", "the connection to its agent was lost"],
] as const)("of an agent that ends by %s a router says: %s", async (signal, reason) => {
  const agent = await startDrover("agent", ["--ollama", "http://127.0.0.1:9"]);
  const router = await startDrover("router", ["--nodes", agent.address]);
  running = [agent, router];
  await vi.waitFor(() => expect(router.log()).toContain("node attached"), 10_000);
  await agent.stop(signal);
  await vi.waitFor(() => expect(router.log()).toContain("node lost"), 10_000);
  expect(router.log()).toContain(`"reason":"${reason}"`);
});
