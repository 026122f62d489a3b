/** What `--slots` and `--queue-limit` promise, at their limits, and that nothing is left when all calls have ended. */
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { droverErrorFromConnect } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";

let ollama: SimOllama;
let agent: DroverProcess;
let clients: ReturnType<typeof clientsOf>;

function clientsOf(address: string) {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  return { inference: createClient(InferenceService, transport), operator: createClient(AgentService, transport) };
}

beforeAll(async () => {
  ollama = await createSimOllama({ models: ["chat"], slots: 8, loadSeconds: 0, speed: 20, answerTokens: 30 });
  agent = await startDrover("agent", ["--ollama", ollama.url, "--slots", "2", "--queue-limit", "1"]);
  clients = clientsOf(agent.address);
});
afterAll(async () => {
  await agent?.stop();
  await ollama?.close();
});

async function generate(signal?: AbortSignal): Promise<string> {
  try {
    const options = signal === undefined ? {} : { signal };
    for await (const _ of clients.inference.generate({ model: "chat", prompt: "Hi" }, options));
    return "OK";
  } catch (error) {
    return droverErrorFromConnect(ConnectError.from(error))?.kind ?? "cancelled";
  }
}

const load = async () => (await clients.operator.getStatus({})).load;
const running = (): number => ollama.requests().filter(({ end }) => end === undefined).length;

test("two run, one waits, a fourth is refused at once, and all is given back", async () => {
  expect(await generate()).toBe("OK");
  const first = [generate(), generate()];
  await vi.waitFor(async () => expect(await load()).toMatchObject({ active: 2, queued: 0 }));
  const leave = new AbortController();
  const waiting = generate(leave.signal);
  await vi.waitFor(async () => expect(await load()).toMatchObject({ active: 2, queued: 1, queueLimit: 1 }));
  expect(await generate()).toBe("queue_full");
  expect(running()).toBe(2);
  leave.abort();
  expect(await waiting).toBe("cancelled");
  await vi.waitFor(async () => expect(await load()).toMatchObject({ queued: 0 }));
  expect(await Promise.all([...first, generate()])).toEqual(["OK", "OK", "OK"]);
  expect(await load()).toMatchObject({ active: 0, queued: 0 });
  expect(running()).toBe(0);
});
