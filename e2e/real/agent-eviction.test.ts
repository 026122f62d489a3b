/** What an agent does when the real Ollama has room for one model, and when two names stand for the same weights. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { send } from "../src/ollama-http.ts";
import { importOtherWeights, type RealOllama, startRealOllama } from "../src/real-ollama.ts";
import { describeWith } from "../src/real-programs.ts";

const OTHER = "other-weights:135m";

describeWith(["ollama", "model"], "an agent beside a real Ollama with room for one model", () => {
  let folder = "";
  let ollama: RealOllama;
  let chatAskedAtMs = 0;
  let agent: DroverProcess;
  let inference: ReturnType<typeof clientsOf>["inference"];
  let operator: ReturnType<typeof clientsOf>["operator"];

  function clientsOf(address: string) {
    const transport = createGrpcTransport({ baseUrl: `http://${address}` });
    return { inference: createClient(InferenceService, transport), operator: createClient(AgentService, transport) };
  }

  beforeAll(async () => {
    // Models of its own: the shared ones are counted by other tests.
    folder = await mkdtemp(join(tmpdir(), "drover-eviction-"));
    ollama = await startRealOllama({
      slots: 2,
      environment: { OLLAMA_MAX_LOADED_MODELS: "1", OLLAMA_MODELS: join(folder, "models") },
    });
    await importOtherWeights(ollama.url, OTHER, "x");
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "real", "--slots", "2"]);
    ({ inference, operator } = clientsOf(agent.address));
  }, 180_000);
  afterAll(async () => {
    await agent?.stop();
    await ollama?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function generate(model: string, numPredict: number): Promise<string> {
    let reason = "";
    const options = { numPredict, temperature: 0, repeatPenalty: 1.3 };
    for await (const { event } of inference.generate({ model, prompt: "Write a long story about a river.", options }))
      if (event.case === "done") reason = event.value.completion?.doneReason ?? "";
    return reason;
  }

  /** Calls without a pause between them until it is stopped. */
  function asking(model: string, numPredict: number) {
    const state = { ended: 0, isStopped: false };
    const done = (async () => {
      while (!state.isStopped) {
        await generate(model, numPredict);
        state.ended++;
      }
    })();
    return {
      ended: () => state.ended,
      stop: () => {
        state.isStopped = true;
        return done;
      },
    };
  }

  const load = async () => (await operator.getStatus({})).load;
  const loads = (): number => agent.log().split('"a model is loaded"').length - 1;
  const evictions = (): number => agent.log().split('"unloading a model to make room"').length - 1;
  const inMemory = async (): Promise<unknown[]> =>
    ((await send(ollama.url, "/api/ps")).json()["models"] as { name: string }[]).map(({ name }) => name);

  test("two names of the same weights share one runner and its slots", { timeout: 240_000 }, async () => {
    const { chat, tools } = ollama.models;
    await generate(chat, 2);
    expect(loads()).toBe(1);
    const calls = [generate(tools, 12), generate(chat, 12), generate(tools, 12)];
    await vi.waitFor(async () => expect(await load()).toMatchObject({ active: 2, queued: 1 }), 30_000);
    expect((await load())?.runners).toMatchObject([{ active: 2, queued: 1, slots: 2 }]);
    await Promise.all(calls);
    expect(loads()).toBe(1);
    expect(await inMemory()).toEqual([chat]);
    const [runner] = (await load())?.runners ?? [];
    expect([runner?.model, ...(runner?.otherModels ?? [])].sort()).toEqual([tools, chat].sort());
  });

  test("what fits is learned from what Ollama unloads, and then the agent unloads first", {
    timeout: 240_000,
  }, async () => {
    const { chat } = ollama.models;
    await generate(chat, 2);
    expect(evictions()).toBe(0);
    await generate(OTHER, 2);
    expect(await inMemory()).toEqual([OTHER]);
    await vi.waitFor(async () => expect((await load())?.runners).toMatchObject([{ model: OTHER }]), 30_000);
    chatAskedAtMs = performance.now();
    await generate(chat, 2);
    expect(evictions()).toBe(1);
    expect(await inMemory()).toEqual([chat]);
  });

  test("a model that is asked for on and on gives way after ten seconds, and comes back", {
    timeout: 300_000,
  }, async () => {
    const { chat } = ollama.models;
    await generate(chat, 2);
    // More callers than slots: a moment without any of them is no turn, the model is idle and gives way at once.
    const busy = [10, 15, 10, 15].map((numPredict) => asking(chat, numPredict));
    await vi.waitFor(() => expect(busy[0]?.ended()).toBeGreaterThan(0), 120_000);
    const other = generate(OTHER, 5);
    await vi.waitFor(
      async () => expect((await load())?.runners.map(({ state }) => state)).toContain(RunnerState.CLOSING),
      60_000,
    );
    expect(await other).toBe("length");
    // Its turn began with its load, in the test before.
    expect(performance.now() - chatAskedAtMs).toBeGreaterThan(10_000);
    const before = busy[0]?.ended() ?? 0;
    await vi.waitFor(() => expect(busy[0]?.ended()).toBeGreaterThan(before + 1), 120_000);
    await Promise.all(busy.map((each) => each.stop()));
  });
});
