/** What a real Consul shows of an agent: from its start over drains, restarts and lost data to its end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, runDrover, startDrover } from "../src/drover-process.ts";
import { type RealConsul, startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

interface Entry {
  readonly Service: { readonly ID: string; readonly Address: string; readonly Port: number; readonly Meta: object };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Notes: string }[];
}

/** Consul looks at gRPC health every 5 s, and the agent at Consul every 3 s. */
const PATIENCE = { timeout: 30_000, interval: 100 };
/** A Consul that could not write to its servers, since they had no leader yet, tries again after 15 to 30 s. */
const RESYNC_PATIENCE = { timeout: 90_000, interval: 100 };

describeWith(["consul"], "a router in a real Consul", (paths) => {
  let consul: RealConsul;
  beforeAll(async () => {
    consul = await startRealConsul(paths.consul);
  }, 60_000);
  afterAll(() => consul?.close());

  const entries = async (): Promise<readonly Entry[]> =>
    (await consul.ask("GET", "/health/service/drover-router")) as readonly Entry[];

  test("is found by clients, is not ready in maintenance, and is taken out at its end", async () => {
    const router = await startDrover("router", ["--nodes", "127.0.0.1:1", "--consul", consul.url, "--name", "front"]);
    await vi.waitFor(async () => {
      const [entry] = await entries();
      expect(`${entry?.Service.Address}:${entry?.Service.Port}`).toBe(router.address);
      expect(entry?.Checks.map(({ Status }) => Status)).not.toContain("critical");
    }, PATIENCE);
    const [entry] = await entries();
    await consul.ask("PUT", `/agent/service/maintenance/${entry?.Service.ID}?enable=true&reason=by%20hand`);
    const readyz = async (): Promise<string> => await (await fetch(`http://${router.opsAddress}/readyz`)).text();
    await vi.waitFor(async () => expect(await readyz()).toContain("in maintenance in Consul: by hand"), PATIENCE);
    await consul.ask("PUT", `/agent/service/maintenance/${entry?.Service.ID}?enable=false`);
    await vi.waitFor(async () => expect(await readyz()).toContain("takes calls"), PATIENCE);
    expect(await router.stop()).toBe(0);
    expect(await entries()).toEqual([]);
  });
});

describeWith(["consul"], "an agent in a real Consul", (paths) => {
  let consul: RealConsul;
  let ollama: SimOllamaProcess;
  let agent: DroverProcess | undefined;
  const folders: string[] = [];

  beforeAll(async () => {
    consul = await startRealConsul(paths.consul);
    ollama = await startSimOllama(["--models", "chat"]);
  }, 60_000);
  afterEach(async () => {
    await agent?.stop("SIGKILL");
    agent = undefined;
    for (const { Service } of await entries()) await consul.ask("PUT", `/agent/service/deregister/${Service.ID}`);
  });
  afterAll(async () => {
    await consul?.close();
    await ollama?.close();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  const start = async (flags: readonly string[] = []): Promise<DroverProcess> => {
    agent = await startDrover("agent", ["--ollama", ollama.url, "--consul", consul.url, ...flags]);
    return agent;
  };
  const entries = async (): Promise<readonly Entry[]> =>
    (await consul.ask("GET", "/health/service/drover-agent")) as readonly Entry[];
  const statuses = async (): Promise<Record<string, string>> => {
    const [entry] = await entries();
    return Object.fromEntries(
      (entry?.Checks ?? []).map(({ CheckID, Status }) => [CheckID.replace(/drover-agent-[0-9a-f-]+/, "ID"), Status]),
    );
  };
  const maintenance = async (): Promise<string | undefined> =>
    (await entries())[0]?.Checks.find(({ CheckID }) => CheckID.startsWith("_service_maintenance"))?.Notes;
  const isPassing = (): Promise<void> =>
    vi.waitFor(
      async () => expect(await statuses()).toMatchObject({ "ID:ttl": "passing", "ID:grpc": "passing" }),
      PATIENCE,
    );
  /** The state of a drained agent: its gRPC check fails as soon as Consul looks again, since a drained agent is not serving. */
  const isAlive = (): Promise<void> =>
    vi.waitFor(async () => expect(await statuses()).toMatchObject({ "ID:ttl": "passing" }), PATIENCE);
  const rpc = ({ address }: DroverProcess) =>
    createClient(AgentService, createGrpcTransport({ baseUrl: `http://${address}` }));

  test("publishes its address, its weight and what it is, and leaves nothing behind", async () => {
    const { address, stop } = await start(["--name", "gpu-1", "--weight", "70", "--labels", "gpu=a100,zone=eu"]);
    await isPassing();
    await vi.waitFor(async () => {
      const [entry] = await entries();
      expect(`${entry?.Service.Address}:${entry?.Service.Port}`).toBe(address);
      expect(entry?.Service.Meta).toMatchObject({
        name: "gpu-1",
        base_weight: "70",
        labels: "gpu=a100,zone=eu",
        proto: "v1",
        models_hash: expect.stringMatching(/^[0-9a-f]{16}$/),
      });
    }, PATIENCE);
    expect(await stop()).toBe(0);
    expect(await entries()).toEqual([]);
  });

  test("is critical at once while Ollama is away, and passing when it is back", async () => {
    const other = await startSimOllama(["--models", "chat"]);
    const port = other.address.split(":")[1];
    await start(["--ollama", other.url]);
    await isPassing();
    await other.close();
    await vi.waitFor(async () => expect(await statuses()).toMatchObject({ "ID:ttl": "critical" }), PATIENCE);
    const again = await startSimOllama(["--models", "chat", "--listen", `127.0.0.1:${port}`]);
    await isPassing();
    await again.close();
  });

  test("a drain over gRPC is maintenance in Consul, survives a restart of the agent, and ends by Resume", async () => {
    const folder = mkdtempSync(join(tmpdir(), "drover-registration-"));
    folders.push(folder);
    const first = await start(["--state-dir", folder]);
    await isPassing();
    await rpc(first).drain({ reason: "new driver" });
    await vi.waitFor(async () => expect(await maintenance()).toBe("new driver"), PATIENCE);
    await first.stop("SIGKILL");
    const second = await start(["--state-dir", folder]);
    expect((await rpc(second).getStatus({})).condition).toMatchObject({ isDraining: true, drainReason: "new driver" });
    await isAlive();
    expect(await maintenance()).toBe("new driver");
    await rpc(second).resume({});
    await vi.waitFor(async () => expect(await maintenance()).toBeUndefined(), PATIENCE);
  }, 120_000);

  test("maintenance by hand drains the agent, and its end resumes it", async () => {
    const running = await start();
    await isPassing();
    const [entry] = await entries();
    const path = `/agent/service/maintenance/${entry?.Service.ID}`;
    await consul.ask("PUT", `${path}?enable=true&reason=by%20hand`);
    await vi.waitFor(
      async () =>
        expect((await rpc(running).getStatus({})).condition).toMatchObject({
          isDraining: true,
          drainReason: "by hand",
        }),
      PATIENCE,
    );
    await consul.ask("PUT", `${path}?enable=false`);
    await vi.waitFor(
      async () => expect((await rpc(running).getStatus({})).condition?.isDraining).toBe(false),
      PATIENCE,
    );
    expect(await maintenance()).toBeUndefined();
  });

  test("is back, with its drain, after Consul lost all its data", async () => {
    const running = await start();
    await isPassing();
    await rpc(running).drain({ reason: "new driver" });
    await vi.waitFor(async () => expect(await maintenance()).toBe("new driver"), PATIENCE);
    await consul.wipe();
    await consul.start();
    await vi.waitFor(async () => expect(await maintenance()).toBe("new driver"), RESYNC_PATIENCE);
    await isAlive();
    expect((await rpc(running).getStatus({})).condition?.isDraining).toBe(true);
  }, 180_000);

  test("starts and serves without Consul, and registers when Consul comes", async () => {
    await consul.kill();
    const running = await start();
    expect((await rpc(running).getStatus({})).node?.id).toBeTruthy();
    await vi.waitFor(() => expect(running.log()).toContain("not registered there"), PATIENCE);
    await consul.start();
    await isPassing();
  }, 180_000);

  test("refuses, before it listens, to publish an address that leads others to themselves", async () => {
    const { code, stderr } = await runDrover("agent", ["--consul", "consul.example:8500", "--listen", "127.0.0.1:0"]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/--listen 127\.0\.0\.1 means this machine .*--advertise HOST:PORT/),
    ]);
  });
});
