/** Clients with several routers' addresses, while a router dies or leaves: what had not begun never fails, what had says the truth. */

import { join } from "node:path";
import { createDroverClient } from "@drover/client";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientLoad, loadClients } from "../src/client-load.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { freePort } from "../src/free-port.ts";
import { installedFolder } from "../src/installed-folder.ts";
import { runProgram } from "../src/run-program.ts";

const ROUTERS = 3;
const CHAT = "chat";
const EMBED = "embed";
const PATIENCE = { timeout: 15_000 };

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe(`clients over ${ROUTERS} routers`, () => {
  let ollama: SimOllama;
  let agent: DroverProcess;
  let routers: DroverProcess[];
  let load: ClientLoad | undefined;

  beforeAll(async () => {
    ollama = await createSimOllama({ models: [CHAT, EMBED], slots: 64, speed: 50, loadSeconds: 0, answerTokens: 25 });
    agent = await startDrover("agent", ["--ollama", ollama.url, "--slots", "64"]);
  });
  afterAll(async () => {
    await agent?.stop("SIGKILL");
    await ollama?.close();
  });
  beforeEach(async () => {
    routers = await Promise.all(Array.from({ length: ROUTERS }, () => startRouter()));
  });
  afterEach(async () => {
    await load?.stop();
    for (const router of routers) await router.stop("SIGKILL");
  });

  const startRouter = async (...flags: string[]): Promise<DroverProcess> => {
    const router = await startDrover("router", ["--nodes", agent.address, ...flags]);
    await using client = createDroverClient({ address: router.address });
    await vi.waitFor(async () => expect((await client.fleet.listModels()).length).toBe(2), PATIENCE);
    return router;
  };
  /** Runs until there are streams at every router. */
  const begin = async (): Promise<ClientLoad> => {
    const address = routers.map((router) => router.address);
    load = loadClients({ client: { address }, clients: 12, everyMs: 10, chatModel: CHAT, embedModel: EMBED });
    await vi.waitFor(
      () => expect(load?.calls.filter(({ kind }) => kind === "chat").length).toBeGreaterThan(10),
      PATIENCE,
    );
    return load;
  };
  const [first, at] = [
    (): DroverProcess => routers[0] as DroverProcess,
    (index: number) => routers[index] as DroverProcess,
  ];

  it("lose a router by kill -9: only what it held fails, with the truth and what had come", async () => {
    const running = await begin();
    const killMs = performance.now();
    await first().stop("SIGKILL");
    // What is written before this process has read the end of its connections is lost with them.
    await sleep(20);
    const goneMs = performance.now();
    await sleep(1_500);
    await running.stop();

    expect(running.failedSince(goneMs)).toEqual([]);
    const failed = running.failedSince(0);
    expect(failed.length).toBeGreaterThan(0);
    for (const { failure, beganMs, endedMs, text, pieces } of failed) {
      expect(failure).toMatchObject({ reason: "CONNECTION_LOST", status: "UNAVAILABLE" });
      expect(failure?.message).toContain(`http://${first().address}`);
      expect([failure?.partialText, failure?.tokensReceived]).toEqual([text, pieces]);
      expect(beganMs).toBeLessThan(goneMs);
      expect(endedMs).toBeGreaterThan(killMs);
    }
    // Streams were under way, so that partial texts were there to tell.
    expect(failed.some(({ pieces }) => pieces > 0)).toBe(true);
    expect(running.calls.length).toBeGreaterThan(150);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("see a router leave by %s, and not one call fails", async (signal) => {
    const running = await begin();
    await first().stop(signal);
    await sleep(500);
    await running.stop();
    expect(running.failedSince(0)).toEqual([]);
    expect(running.calls.length).toBeGreaterThan(80);
  });

  it("see all routers restarted, one after the other and at their old addresses, and not one call fails", async () => {
    const running = await begin();
    for (let index = 0; index < ROUTERS; index++) {
      const { address } = at(index);
      await at(index).stop();
      routers[index] = await startRouter("--listen", address);
      // Longer than a router is avoided at first, so that each takes its clients back.
      await sleep(1_500);
    }
    await running.stop();
    expect(running.failedSince(0)).toEqual([]);
    const taken = await Promise.all(routers.map(callsTaken));
    for (const calls of taken) expect(calls).toBeGreaterThan(0);
  });

  it("fail with the names of all routers when all are dead, and go on as soon as one is back", async () => {
    await using client = createDroverClient({ address: routers.map((router) => router.address) });
    expect((await client.embed({ model: EMBED, input: "a" })).embeddings).toHaveLength(1);
    const { address } = at(1);
    for (const router of routers) await router.stop("SIGKILL");
    await sleep(20);
    const failure = await client.embed({ model: EMBED, input: "a" }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason: "ROUTER_UNREACHABLE", status: "UNAVAILABLE" });
    for (const router of routers) expect(String(failure)).toContain(`http://${router.address}: connection refused`);
    routers[1] = await startRouter("--listen", address);
    expect((await client.embed({ model: EMBED, input: "a" })).embeddings).toHaveLength(1);
  });
});

describe("a program that never closes its client", () => {
  it("ends all the same when its last call has", async () => {
    const router = await startDrover("router", ["--nodes", "127.0.0.1:1"]);
    const folder = installedFolder();
    folder.write(
      "app.js",
      `import { createDroverClient } from "@drover/client";
       const client = createDroverClient({ address: ["${router.address}", "127.0.0.1:${await freePort()}"], timeoutMs: 60_000 });
       console.log(await client.health(), (await client.fleet.listModels()).length);`,
    );
    const startMs = performance.now();
    const { stdout, code } = await runProgram(process.execPath, [join(folder.path, "app.js")]);
    expect({ stdout, code }).toEqual({ stdout: "SERVING 0\n", code: 0 });
    // A keep-alive, a deadline or an idle timer would keep it for 20 s and more.
    expect(performance.now() - startMs).toBeLessThan(15_000);
    folder.remove();
    await router.stop("SIGKILL");
  });
});

/** As its own metrics tell. */
async function callsTaken({ opsAddress }: DroverProcess): Promise<number> {
  const text = await (await fetch(`http://${opsAddress}/metrics`)).text();
  const counts = text.matchAll(/^rpc_server_call_duration[a-z_]*_count\{[^}]*InferenceService[^}]*\} (\d+)/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
