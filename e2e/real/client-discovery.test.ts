/** Clients that find their routers: in a real Consul while routers die, leave and come at other ports, and in DNS. */
import { createDroverClient, type DroverClient } from "@drover/client";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientLoad, loadClients } from "../src/client-load.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type RealConsul, startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";

const CHAT = "chat";
const EMBED = "embed";
const PATIENCE = { timeout: 20_000, interval: 50 };
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let ollama: SimOllama;
let agent: DroverProcess;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  ollama = await createSimOllama({ models: [CHAT, EMBED], slots: 64, speed: 100, loadSeconds: 0, answerTokens: 20 });
  agent = await startDrover("agent", ["--ollama", ollama.url, "--slots", "64"]);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(async () => {
  await agent?.stop("SIGKILL");
  await ollama?.close();
});

function clientAt(address: string): DroverClient {
  const client = createDroverClient({ address });
  ends.push(() => client.close());
  return client;
}

async function startRouter(...flags: string[]): Promise<DroverProcess> {
  const router = await startDrover("router", ["--nodes", agent.address, ...flags]);
  ends.push(() => router.stop("SIGKILL"));
  await using client = createDroverClient({ address: router.address });
  await vi.waitFor(async () => expect(await client.fleet.listModels()).toHaveLength(2), PATIENCE);
  return router;
}

describeWith(["consul"], "clients of consul://drover-router", (paths) => {
  let consul: RealConsul;

  beforeEach(async () => {
    consul = await startRealConsul(paths.consul);
    vi.stubEnv("CONSUL_HTTP_ADDR", consul.url);
    ends.push(() => consul.close());
  });

  const startRegistered = (): Promise<DroverProcess> => startRouter("--consul", consul.url);
  const passing = async (): Promise<number> =>
    ((await consul.ask("GET", "/health/service/drover-router?passing")) as unknown[]).length;
  const arePassing = (count: number) => vi.waitFor(async () => expect(await passing()).toBe(count), PATIENCE);
  const load = async (): Promise<ClientLoad> => {
    const client = { address: "consul://drover-router" };
    const running = loadClients({ client, clients: 6, everyMs: 20, chatModel: CHAT, embedModel: EMBED });
    ends.push(() => running.stop());
    await vi.waitFor(() => expect(running.calls.length).toBeGreaterThan(30), PATIENCE);
    return running;
  };

  it("see all routers replaced by others at other ports, and not one call fails", async () => {
    const routers = await Promise.all([startRegistered(), startRegistered()]);
    await arePassing(2);
    const running = await load();
    const successors = await Promise.all([startRegistered(), startRegistered()]);
    await arePassing(4);
    // Older than a list may be before it is asked for again.
    await sleep(6_000);
    for (const router of routers) await router.stop();
    await arePassing(2);
    const count = running.calls.length;
    await vi.waitFor(() => expect(running.calls.length).toBeGreaterThan(count + 30), PATIENCE);
    await running.stop();
    expect(running.failedSince(0)).toEqual([]);
    expect(successors).toHaveLength(2);
  });

  it("lose one router by kill -9, and then their Consul, and calls that begin afterwards do not fail", async () => {
    const [doomed] = await Promise.all([startRegistered(), startRegistered()]);
    await arePassing(2);
    const running = await load();
    await doomed.stop("SIGKILL");
    await sleep(20);
    const killedMs = performance.now();
    await consul.kill();
    await sleep(6_000);
    await running.stop();
    expect(running.failedSince(killedMs)).toEqual([]);
    for (const { failure } of running.failedSince(0)) expect(failure?.reason).toBe("CONNECTION_LOST");
  });

  it("are told who was asked for what, and asked again later, while Consul knows no router or is away", async () => {
    const client = clientAt("consul://drover-router");
    const nobody = { reason: "ROUTER_UNREACHABLE", status: "UNAVAILABLE" };
    await expect(client.health()).rejects.toMatchObject({
      ...nobody,
      message: expect.stringContaining(
        `Consul at ${consul.url} was asked for drover-router: it knows no passing instance`,
      ),
    });
    await startRegistered();
    await arePassing(1);
    await vi.waitFor(async () => expect(await client.health()).toBe("SERVING"), PATIENCE);
    await consul.kill();
    const late = clientAt(`consul://${new URL(consul.url).host}/drover-router`);
    await expect(late.health()).rejects.toMatchObject({
      ...nobody,
      message: expect.stringMatching(/was asked for drover-router: nothing listens there\.$/),
    });
    expect(await client.health()).toBe("SERVING");
  });
});

describe("clients of dns:///", () => {
  it("try the addresses of the name until one answers", async () => {
    const { address } = await startRouter();
    const client = clientAt(`dns:///localhost:${address.split(":")[1]}`);
    expect(await client.health()).toBe("SERVING");
    expect((await client.chat({ model: CHAT, messages: [{ role: "user", content: "hi" }] }).result()).attempts).toBe(1);
  });

  it("are told when the name has no address", async () => {
    await expect(clientAt("dns:///nowhere.invalid:50051").health()).rejects.toMatchObject({
      reason: "ROUTER_UNREACHABLE",
      message: expect.stringMatching(/^dns:\/\/\/nowhere\.invalid:50051 cannot be resolved: /),
    });
  });
});
