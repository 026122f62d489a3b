import { createServer, type Server } from "node:net";
import { DroverError, SimClock, systemClock } from "@drover/platform";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { NodeView } from "../fleet/node-view.ts";
import { startFakeAgent } from "../testing/fake-agent.ts";
import { createAgentAdmin } from "./agent-admin.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const never = new AbortController().signal;

/** Only the name and the endpoint of a node are used. */
function nodeAt(endpoint: string): NodeView {
  return { name: "gpu-1", endpoint } as NodeView;
}

async function listening(server: Server): Promise<string> {
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
}

async function failureOf(promise: Promise<void>): Promise<DroverError> {
  const error = await promise.catch((caught: unknown) => caught);
  if (error instanceof DroverError) return error;
  throw new Error(`not the error that callers see: ${String(error)}`);
}

describe("asking an agent to change its node", () => {
  it("shows the router's token, and leaves no connection behind", async () => {
    const agent = await startFakeAgent({ id: "one", token: "the-secret-token-of-all" });
    ends.push(() => agent.kill());
    const admin = createAgentAdmin({ clock: systemClock, token: "the-secret-token-of-all" });
    await admin.drain(nodeAt(agent.address), "new fan", never);
    expect(agent.condition).toMatchObject({ isDraining: true, drainReason: "new fan" });
    await admin.resume(nodeAt(agent.address), never);
    expect(agent.condition.isDraining).toBe(false);
    // Resolves only when every connection has ended.
    await agent.drained();
  });

  it.each([
    [undefined, "it was shown no admin token"],
    ["another-secret-token-of-all", "does not accept the admin token"],
  ])("says what to do when the agent refuses the token %s", async (token, says) => {
    const agent = await startFakeAgent({ id: "one", token: "the-secret-token-of-all" });
    ends.push(() => agent.kill());
    const failure = await failureOf(
      createAgentAdmin({ clock: systemClock, token }).resume(nodeAt(agent.address), never),
    );
    expect([failure.kind, failure.message]).toEqual(["permission_denied", expect.stringContaining(says)]);
    expect(failure.message).toContain("--admin-token-file");
    expect(failure.message).toContain('node "gpu-1"');
  });

  it("does not wait for an agent that hangs", async () => {
    const clock = new SimClock();
    const mute = await listening(createServer((socket) => void socket.on("error", () => undefined).resume()));
    const failure = failureOf(createAgentAdmin({ clock, token: undefined }).drain(nodeAt(mute), "", never));
    await clock.advanceAsync(5_000);
    expect((await failure).message).toContain('The agent of node "gpu-1" does not answer');
    expect(clock.pendingCount).toBe(0);
  });

  it("ends with its caller", async () => {
    const clock = new SimClock();
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket
        .resume()
        .on("error", () => undefined)
        .on("close", () => connections--);
    });
    const endpoint = await listening(server);
    const caller = new AbortController();
    const failure = failureOf(createAgentAdmin({ clock, token: undefined }).drain(nodeAt(endpoint), "", caller.signal));
    await vi.waitUntil(() => connections === 1);
    caller.abort();
    await failure;
    await vi.waitUntil(() => connections === 0);
  });

  it("says that nobody answers where nobody listens", async () => {
    const server = createServer();
    const endpoint = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    ends.length = 0;
    const failure = await failureOf(
      createAgentAdmin({ clock: systemClock, token: undefined }).drain(nodeAt(endpoint), "", never),
    );
    expect([failure.kind, failure.message]).toEqual([
      "node_unreachable",
      expect.stringContaining("is drover-agent running there?"),
    ]);
  });
});
