/** How an agent's process makes room in Ollama, and shares runners, beside a simulated Ollama that keeps one model. */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";

let ollama: SimOllama;
let agent: DroverProcess;
let clients: ReturnType<typeof clientsOf>;

function clientsOf(address: string) {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  return { inference: createClient(InferenceService, transport), operator: createClient(AgentService, transport) };
}

beforeAll(async () => {
  ollama = await createSimOllama({
    models: ["a", { name: "twin", weightsOf: "a" }, "b"],
    maxLoadedModels: 1,
    loadSeconds: 0.2,
    slots: 2,
    answerTokens: 5,
  });
  agent = await startDrover("agent", ["--ollama", ollama.url, "--slots", "2"]);
  clients = clientsOf(agent.address);
});
beforeEach(() => ollama.clearRequests());
afterAll(async () => {
  await agent?.stop();
  await ollama?.close();
});

async function generate(model: string): Promise<void> {
  for await (const _ of clients.inference.generate({ model, prompt: "Hi" }));
}

const runners = async () => (await clients.operator.getStatus({})).load?.runners ?? [];

/** What Ollama was asked to do, in order. */
function asked(): string[] {
  return ollama
    .requests()
    .filter(({ path }) => path === "/api/generate")
    .map(({ body }) => {
      const { model, prompt = "", keep_alive } = body as { model: string; prompt?: string; keep_alive?: unknown };
      if (keep_alive === 0) return `unload ${model}`;
      return prompt === "" ? `load ${model}` : `run ${model}`;
    });
}

test("names of the same weights share a runner, and routers are told both", async () => {
  await generate("a");
  await generate("twin");
  expect(asked()).toEqual(["load a:latest", "run a", "run twin"]);
  const [runner, ...others] = await runners();
  expect(others).toEqual([]);
  expect([runner?.model, ...(runner?.otherModels ?? [])].sort()).toEqual(["a:latest", "twin:latest"]);
});

test("the agent sees what Ollama unloads for a load, and unloads before the next one itself", async () => {
  await generate("b");
  expect(asked()).toEqual(["load b:latest", "run b"]);
  await vi.waitFor(async () => expect(await runners()).toMatchObject([{ model: "b:latest" }]), 5_000);
  await generate("a");
  expect(asked().slice(2)).toEqual(["unload b:latest", "load a:latest", "run a"]);
  expect(await runners()).toMatchObject([{ model: "a:latest", active: 0 }]);
});
