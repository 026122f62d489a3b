/** A fleet in this process with agents that the test scripts, for what shows only where all parts are together. */
import { type Client, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { ByteBudget, parseHostPort, silentLogger, systemClock, systemRng } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createFleetRoutes } from "./api/fleet-routes.ts";
import { refusalError } from "./api/refused-call.ts";
import { openRouting, type Routing, type RoutingOptions } from "./open-routing.ts";
import { type FakeAgent, type FakeAgentOptions, startFakeAgent } from "./testing/fake-agent.ts";
import { quiet } from "./testing/recording-listener.ts";

const MODEL = "llama3.2:1b";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function agent(options: FakeAgentOptions): Promise<FakeAgent> {
  const started = await startFakeAgent(options);
  ends.push(() => started.kill());
  return started;
}

interface Opened {
  readonly routing: Routing;
  readonly inference: Client<typeof InferenceService>;
}

function open(address: string, options: Partial<RoutingOptions> = {}): Opened {
  const stopSignal = new AbortController().signal;
  const surroundings = { clock: systemClock, rng: systemRng, log: silentLogger };
  const node = parseHostPort(address);
  const discovery = { nodes: node === undefined ? [] : [node] };
  const routing = openRouting({
    ...{ ...surroundings, name: "test", version: "0", policy: "weighted", discovery, stopSignal },
    ...options,
  });
  ends.push(() => routing.close());
  const routes = createFleetRoutes(routing, {
    bodies: new ByteBudget(1024 * 1024),
    maxWaitMs: 5_000,
    adminToken: undefined,
    tellRefused: (refused) => refusalError(refused, silentLogger),
    stopSignal,
  });
  return { routing, inference: createClient(InferenceService, createRouterTransport(routes)) };
}

describe("an open routing", () => {
  it("lists the connections to every endpoint, called or not", async () => {
    const { address } = await agent({ id: "one" });
    const { routing, inference } = open(address);
    await vi.waitUntil(() => routing.fleet.snapshot.nodes.length === 1);
    const nothing = { endpoint: address, connections: 0, streams: 0, pending: 0, failures: 0, lastError: "" };
    expect(routing.connectionPools()).toEqual([nothing]);
    await inference.embed({ model: MODEL, input: ["a"] });
    await vi.waitUntil(() => routing.connectionPools()[0]?.streams === 0);
    expect(routing.connectionPools()).toEqual([{ ...nothing, connections: 1 }]);
  });

  it("calls an agent that came back at once, however long it would have left it alone", async () => {
    // Attach has its one connection, so that calls get none.
    const full = await agent({ id: "one", incarnation: "1", limits: { maxConnections: 1 } });
    const { address } = full;
    const { routing, inference } = open(address, { connections: { backoffFirstMs: 60_000, backoffLastMs: 60_000 } });
    const embed = () => inference.embed({ model: MODEL, input: ["a"] }, { headers: { "drover-max-wait-ms": "200" } });
    await vi.waitUntil(() => routing.fleet.isAttached(address));
    await expect(embed()).rejects.toBeInstanceOf(ConnectError);
    expect(routing.connectionPools()).toMatchObject([{ connections: 0, failures: 1 }]);
    full.kill();
    await vi.waitUntil(() => !routing.fleet.isAttached(address));
    await agent({ id: "one", incarnation: "2", listen: address });
    await vi.waitUntil(() => routing.fleet.isAttached(address), { timeout: 4_000 });
    expect((await embed()).embeddings).toHaveLength(1);
  });

  it("takes nothing more from discovery once it shall stop", async () => {
    const { address } = await agent({ id: "one" });
    const { routing } = open(address, { stopSignal: AbortSignal.abort() });
    await quiet();
    expect(routing.fleet.members()).toEqual([]);
  });

  it("leaves nothing when it is closed", async () => {
    const one = await agent({ id: "one" });
    const { routing, inference } = open(one.address);
    await inference.embed({ model: MODEL, input: ["a"] });
    await routing.close();
    // Resolves only when every connection has ended, Attach included.
    await one.drained();
  });
});
