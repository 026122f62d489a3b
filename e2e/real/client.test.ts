import { createDroverClient, type DroverClient, DroverError } from "@drover/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const MODEL = "llama3.2:1b";
const messages = [{ role: "user", content: "Tell me a story" }];

describe("the client over a router with one node", () => {
  let ollama: SimOllamaProcess;
  let agent: DroverProcess;
  let router: DroverProcess;
  let client: DroverClient;

  beforeAll(async () => {
    const models = ["--models", `${MODEL},nomic-embed-text`];
    ollama = await startSimOllama([...models, "--speed", "100", "--load-seconds", "0.1", "--answer-tokens", "20"]);
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--slots", "4"]);
    router = await startDrover("router", ["--nodes", agent.address]);
    client = createDroverClient({ address: router.address });
    await vi.waitUntil(async () => (await client.fleet.listNodes())[0]?.availability === "available");
  });
  afterAll(async () => {
    await client.close();
    expect(await router.stop()).toBe(0);
    expect(await agent.stop()).toBe(0);
    await ollama.close();
  });

  it("streams a chat, then tells how it went", async () => {
    const stream = client.chat({ model: MODEL, messages });
    const texts: string[] = [];
    for await (const { text } of stream) texts.push(text);
    expect(texts.length).toBeGreaterThan(10);
    const result = await stream.result();
    expect(result).toMatchObject({ text: texts.join(""), node: "one", attempts: 1, doneReason: "stop" });
    expect(result.callId).not.toBe("");
    expect(result.generatedTokens).toBeGreaterThan(10);
    expect(result.message).toEqual({ role: "assistant", content: result.text });
  });

  it("answers a prompt and embeds texts", async () => {
    expect(await client.generate({ model: MODEL, prompt: "Why?" }).text()).not.toBe("");
    const { embeddings, node } = await client.embed({ model: "nomic-embed-text", input: ["a", "b"] });
    expect([embeddings.length, node]).toEqual([2, "one"]);
  });

  it("closes the call at the node when its loop is left", async () => {
    for await (const _ of client.chat({ model: MODEL, messages })) break;
    await vi.waitUntil(async () => (await client.fleet.listNodes())[0]?.load.active === 0);
  });

  it("says why a call failed", async () => {
    const error = await client
      .chat({ model: "llama4", messages })
      .text()
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DroverError);
    expect(error).toMatchObject({ reason: "MODEL_NOT_FOUND", status: "NOT_FOUND", facts: { model: "llama4" } });
  });
});
