/** A real router that finds real agents in a real Consul, through Consul's bad days: traffic must not notice any of them. */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Node, NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type RealConsul, startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";
import { callSteadily, type SteadyCaller } from "../src/steady-caller.ts";

const PATIENCE = { timeout: 40_000, interval: 100 };
/** A Consul agent looks once a minute whether its server still has what it registered there. */
const RESYNC_PATIENCE = { timeout: 110_000, interval: 200 };
const MODEL = "chat";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function nodesOf(router: DroverProcess): Promise<readonly Node[]> {
  const transport = createGrpcTransport({ baseUrl: `http://${router.address}` });
  return (await createClient(RouterService, transport).listNodes({})).nodes;
}

async function available(router: DroverProcess): Promise<string[]> {
  const nodes = await nodesOf(router);
  return nodes
    .filter(({ availability }) => availability === NodeAvailability.AVAILABLE)
    .map(({ identity }) => identity?.name ?? "")
    .sort();
}

const readyz = async (router: DroverProcess): Promise<string> =>
  await (await fetch(`http://${router.opsAddress}/readyz`)).text();

describeWith(["consul"], "a router that finds its agents in a real Consul", (paths) => {
  /** The one server, and the client agent beside which the Drover agents run. */
  let server: RealConsul;
  let client: RealConsul;
  let ollama: SimOllamaProcess;
  let router: DroverProcess;
  const agents = new Map<string, DroverProcess>();
  let caller: SteadyCaller | undefined;

  const agent = async (name: string): Promise<void> => {
    const flags = ["--ollama", ollama.url, "--consul", client.url, "--name", name, "--slots", "8"];
    agents.set(name, await startDrover("agent", flags));
  };
  const knows = (...names: string[]) =>
    vi.waitFor(async () => expect(await available(router)).toEqual(names), PATIENCE);
  const serviceOf = async (name: string): Promise<string> => {
    const entries = (await server.ask("GET", "/health/service/drover-agent")) as {
      Service: { ID: string; Meta: { name?: string } };
    }[];
    return entries.find(({ Service }) => Service.Meta.name === name)?.Service.ID ?? "";
  };
  const isBelieved = () =>
    vi.waitFor(async () => expect(await readyz(router)).toMatch(/"detail": "\d+ endpoints"/), RESYNC_PATIENCE);
  /** Traffic for as long as `body` takes and a moment on both sides; no call of it may fail. */
  const undisturbed = async (body: () => Promise<void>): Promise<void> => {
    caller = callSteadily(router.address, MODEL);
    await sleep(300);
    await body();
    await sleep(300);
    await caller.stop();
    expect(caller.failures).toEqual([]);
    expect(caller.calls.length).toBeGreaterThan(10);
  };

  beforeAll(async () => {
    server = await startRealConsul(paths.consul);
    client = await startRealConsul(paths.consul, server);
    ollama = await startSimOllama(["--models", MODEL, "--slots", "8", "--speed", "200", "--answer-tokens", "4"]);
    router = await startDrover("router", ["--consul", server.url]);
    await agent("one");
    await agent("two");
    await knows("one", "two");
  }, 120_000);
  afterEach(() => caller?.stop());
  afterAll(async () => {
    for (const each of [router, ...agents.values()]) await each?.stop("SIGKILL");
    await ollama?.close();
    await client?.close();
    await server?.close();
  });

  test("takes a node out of service by hand, and back", { timeout: 60_000 }, async () => {
    await undisturbed(async () => {
      const id = await serviceOf("one");
      await client.ask("PUT", `/agent/service/maintenance/${id}?enable=true&reason=new%20driver`);
      const drainedMs = performance.now();
      // At once: each call is a line of the log too, of which only the end is kept.
      await vi.waitFor(() => expect(router.log()).toContain("in maintenance in Consul: new driver"), PATIENCE);
      await sleep(2_000);
      // Generous for a busy machine; `npm run bench -- consul` measures it.
      expect(caller?.nodesSince(drainedMs + 1_000)).toEqual(["two"]);
      const [one] = (await nodesOf(router)).filter(({ identity }) => identity?.name === "one");
      expect(one?.availability).toBe(NodeAvailability.DRAINING);
      expect(one?.detail).toContain("new driver");
      await client.ask("PUT", `/agent/service/maintenance/${id}?enable=false`);
      await knows("one", "two");
    });
  });

  test("takes whole machines out of service by hand", { timeout: 60_000 }, async () => {
    await client.ask("PUT", "/agent/maintenance?enable=true&reason=power");
    await knows();
    await client.ask("PUT", "/agent/maintenance?enable=false");
    await knows("one", "two");
  });

  test("goes on while the server is dead, and takes what came meanwhile", { timeout: 240_000 }, async () => {
    await undisturbed(async () => {
      await server.kill();
      await vi.waitFor(async () => expect(await readyz(router)).toContain("its list stands"), PATIENCE);
      await sleep(5_000);
      expect(await available(router)).toEqual(["one", "two"]);
      expect((await fetch(`http://${router.opsAddress}/readyz`)).status).toBe(200);
      await agent("three");
      await server.start();
      await knows("one", "three", "two");
      await isBelieved();
    });
    expect(router.log()).toContain("Consul answers again");
  });

  test("goes on while the server is stopped, and hears of what changed after it goes on", {
    timeout: 90_000,
  }, async () => {
    await undisturbed(async () => {
      server.signal("SIGSTOP");
      await sleep(8_000);
      expect(await available(router)).toEqual(["one", "three", "two"]);
      server.signal("SIGCONT");
      await agents.get("three")?.stop();
      agents.delete("three");
      await vi.waitFor(async () => expect((await nodesOf(router)).length).toBe(2), PATIENCE);
    });
  });

  test("keeps its nodes when the server lost all its data", { timeout: 240_000 }, async () => {
    await undisturbed(async () => {
      await server.wipe();
      await server.start();
      for (const endMs = performance.now() + 10_000; performance.now() < endMs; await sleep(200)) {
        expect(await available(router)).toEqual(["one", "two"]);
      }
      await isBelieved();
    });
    expect(await available(router)).toEqual(["one", "two"]);
  });

  test("keeps its nodes when their machine's Consul agent is killed or leaves, and comes back", {
    timeout: 300_000,
  }, async () => {
    await undisturbed(async () => {
      await client.kill();
      await sleep(8_000);
      await vi.waitFor(async () => expect(await available(router)).toEqual(["one", "two"]), PATIENCE);
      await client.start();
      await knows("one", "two");
      await client.ask("PUT", "/agent/leave");
      await sleep(3_000);
      await vi.waitFor(async () => expect(await available(router)).toEqual(["one", "two"]), PATIENCE);
      await client.kill();
      await client.start();
      await knows("one", "two");
      await isBelieved();
    });
  });

  describe("with hundreds of instances", () => {
    /** Nobody listens there. */
    const dead = Array.from({ length: 498 }, (_, index) => ({
      id: `dead-${index}`,
      address: `127.0.${1 + Math.floor(index / 200)}.${1 + (index % 200)}`,
    }));
    const inTens = async (change: (instance: (typeof dead)[number]) => Promise<unknown>, from: typeof dead) => {
      for (let at = 0; at < from.length; at += 10) await Promise.all(from.slice(at, at + 10).map(change));
    };

    test("takes 500 and gives up those that leave, undisturbed", { timeout: 180_000 }, async () => {
      await undisturbed(async () => {
        const register = ({ id, address }: (typeof dead)[number]) =>
          client.ask("PUT", "/agent/service/register", { Name: "drover-agent", ID: id, Address: address, Port: 9 });
        await inTens(register, dead);
        await vi.waitFor(async () => expect((await nodesOf(router)).length).toBe(500), PATIENCE);
        // Less than half of them: more at once would be doubted for a minute.
        const leaving = dead.slice(0, 200);
        await inTens(({ id }) => client.ask("PUT", `/agent/service/deregister/${id}`), leaving);
        await vi.waitFor(async () => expect((await nodesOf(router)).length).toBe(300), PATIENCE);
      });
      await knows("one", "two");
    });
  });

  test("lets an agent go that stops, with the reason in the log", { timeout: 60_000 }, async () => {
    await agents.get("two")?.stop();
    agents.delete("two");
    const names = async () => (await nodesOf(router)).flatMap(({ identity }) => identity?.name ?? []);
    await vi.waitFor(async () => expect(await names()).toEqual(["one"]), PATIENCE);
    expect(router.log()).toMatch(
      /"node":"two".*"reason":"(it was drained, and left|Consul no longer lists it[^"]*)".*left the fleet/,
    );
  });
});
