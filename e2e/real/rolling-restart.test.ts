/** A rolling restart of everything, one program after the other, under streams: real Consul, real routers and agents. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Node, NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type RealConsul, startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";
import { type RetryingStreams, runStreams } from "../src/retrying-streams.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const MODEL = "chat";
const STREAMS = 100;
const AGENTS = 5;
const ROUTERS = 2;
const PATIENCE = { timeout: 60_000, interval: 100 };

describeWith(["consul"], `${AGENTS} agents and ${ROUTERS} routers under ${STREAMS} streams`, (paths) => {
  const folder = mkdtempSync(join(tmpdir(), "drover-rolling-"));
  const agents: DroverProcess[] = [];
  const routers: DroverProcess[] = [];
  let consul: RealConsul;
  let ollama: SimOllamaProcess;
  let streams: RetryingStreams | undefined;

  const startAgent = (index: number, listen = "127.0.0.1:0"): Promise<DroverProcess> => {
    const own = ["--name", `node-${index}`, "--state-dir", join(folder, `agent-${index}`), "--listen", listen];
    return startDrover("agent", ["--ollama", ollama.url, "--slots", "32", "--consul", consul.url, ...own]);
  };
  const startRouter = (index: number, listen = "127.0.0.1:0"): Promise<DroverProcess> => {
    const own = ["--name", `router-${index}`, "--state-dir", join(folder, `router-${index}`), "--listen", listen];
    return startDrover("router", ["--consul", consul.url, ...own]);
  };
  const nodesAt = async ({ address }: DroverProcess): Promise<readonly Node[]> => {
    const client = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${address}` }));
    return (await client.listNodes({})).nodes;
  };
  const availableAt = async (router: DroverProcess): Promise<number> =>
    (await nodesAt(router)).filter(({ availability }) => availability === NodeAvailability.AVAILABLE).length;
  const allKnowAll = (): Promise<void> =>
    vi.waitFor(async () => {
      for (const router of routers) expect(await availableAt(router)).toBe(AGENTS);
    }, PATIENCE);

  beforeAll(async () => {
    consul = await startRealConsul(paths.consul);
    const speed = ["--speed", "10", "--answer-tokens", "20", "--load-seconds", "0.1"];
    ollama = await startSimOllama(["--models", MODEL, "--slots", "256", ...speed]);
    for (let index = 0; index < AGENTS; index++) agents.push(await startAgent(index));
    for (let index = 0; index < ROUTERS; index++) routers.push(await startRouter(index));
    await allKnowAll();
  }, 180_000);
  afterAll(async () => {
    for (const each of [...routers, ...agents]) await each.stop("SIGKILL");
    await ollama?.close();
    await consul?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("are restarted one after the other, and no call fails", { timeout: 400_000 }, async () => {
    const addresses = routers.map(({ address }) => address);
    streams = runStreams({ addresses, model: MODEL, count: STREAMS });
    await vi.waitUntil(() => (streams?.ended ?? 0) > STREAMS, PATIENCE);
    for (const [index, { address, stop }] of agents.entries()) {
      expect(await stop()).toBe(0);
      agents[index] = await startAgent(index, address);
      await allKnowAll();
    }
    for (const [index, { address, stop }] of routers.entries()) {
      expect(await stop()).toBe(0);
      const router = await startRouter(index, address);
      routers[index] = router;
      await allKnowAll();
      // The next goes only when callers have this one again: with both away nobody could serve them.
      await vi.waitFor(async () => {
        expect((await nodesAt(router)).some(({ ownAttempts }) => ownAttempts > 0)).toBe(true);
      }, PATIENCE);
    }
    const { ended } = streams;
    await vi.waitUntil(() => (streams?.ended ?? 0) > ended + STREAMS, PATIENCE);
    await streams.stop();
    expect(streams.failures).toEqual([]);
    process.stdout.write(`rolling restart: ${streams.ended} streams, ${streams.failures.length} failed\n`);
  });
});
