/**
 * The client over a router, an agent and a simulated Ollama, each a process: by gRPC as in Node, and by gRPC-Web over fetch as in a
 * browser. Every way in which a caller can end a call is seen at Ollama.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CallOptions,
  type DroverClient,
  type DroverError,
  createDroverClient as overGrpc,
  type Progress,
} from "@drover/client";
import { type Listener, openListener, silentLogger, systemClock } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import type { RequestRecord } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from "vitest";
import { z } from "zod";
import { createDroverClient as overFetch } from "../../clients/typescript/src/browser.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type RealOllama, startRealOllama } from "../src/real-ollama.ts";
import { describeWith } from "../src/real-programs.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const MODEL = "llama3.2:1b";
const messages = [{ role: "user", content: "Tell me a story" }];
const short = { numPredict: 20 };
const soon = { timeout: 5_000, interval: 5 };

let ollama: SimOllamaProcess;
let agent: DroverProcess;
let router: DroverProcess;

beforeAll(async () => {
  const models = ["--models", `${MODEL},nomic-embed-text,slow`, "--max-loaded-models", "3"];
  ollama = await startSimOllama([...models, "--speed", "200", "--load-seconds", "0.1", "--answer-tokens", "100000"]);
  agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--labels", "gpu=a100", "--slots", "4"]);
  router = await startDrover("router", ["--nodes", agent.address]);
});
afterAll(async () => {
  expect(await router?.stop()).toBe(0);
  expect(await agent?.stop()).toBe(0);
  await ollama?.close();
});

async function failureOf(promise: Promise<unknown>): Promise<DroverError> {
  const error = await promise.then(
    () => "nothing failed",
    (caught: unknown) => caught,
  );
  expect(error).toMatchObject({ name: "DroverError" });
  return error as DroverError;
}

/** What Ollama was asked since the last `forget`, as the simulator saw it. */
async function askedOf(path: string): Promise<readonly RequestRecord[]> {
  const answer = await fetch(`${ollama.url}/sim/requests`);
  const { requests } = (await answer.json()) as { requests: RequestRecord[] };
  return requests.filter((request) => request.path === path);
}

const chatsAtOllama = () => askedOf("/api/chat");

/** Answers every chat with pieces of 64 KiB for ever, as fast as they are taken. */
async function startEndlessAnswer(onPiece: () => void): Promise<Listener> {
  const event = { case: "chunk" as const, value: { message: { role: "assistant", content: "x".repeat(64 * 1024) } } };
  return openListener({
    ...{ listen: "127.0.0.1:0", isInsecureAllowed: false, allowHosts: [], corsOrigins: [] },
    routes: ({ service }) =>
      service(InferenceService, {
        async *chat(_, { signal }) {
          while (!signal.aborted) {
            onPiece();
            yield { event };
          }
        },
      }),
    ...{ log: silentLogger, clock: systemClock },
  });
}

const forget = () => fetch(`${ollama.url}/sim/requests`, { method: "DELETE" });

describe.each([
  ["gRPC", overGrpc],
  ["gRPC-Web over fetch", overFetch],
])("by %s", (_, createDroverClient) => {
  let client: DroverClient;

  beforeAll(async () => {
    client = createDroverClient({ address: router.address });
    await vi.waitUntil(async () => (await client.fleet.listNodes())[0]?.availability === "available", {
      timeout: 10_000,
    });
  });
  afterAll(() => client.close());

  const chat = (options: CallOptions = {}, more: object = {}) =>
    client.chat({ model: MODEL, messages, ...more }, options);

  it("a chat streams, then tells how it went", async () => {
    const stream = chat({ why: true, labels: { gpu: "a100" }, session: "story" }, { options: short });
    const texts: string[] = [];
    for await (const { text } of stream) if (text !== "") texts.push(text);
    expect(texts.length).toBeGreaterThan(10);
    const result = await stream.result();
    expect(result).toMatchObject({ text: texts.join(""), node: "one", attempts: 1, generatedTokens: 20 });
    expect(result).toMatchObject({ queueMs: expect.any(Number), ttftMs: expect.any(Number), doneReason: "length" });
    expect([result.callId?.length, result.why]).toEqual([36, expect.stringContaining("took one")]);
    expect(result.message).toEqual({ role: "assistant", content: result.text });
  });

  it("a prompt is continued, and texts are embedded", async () => {
    expect(await client.generate({ model: MODEL, prompt: "Why?", options: short }).text()).not.toBe("");
    const { embeddings, node, callId } = await client.embed({ model: "nomic-embed-text", input: ["a", "b"] });
    expect([embeddings.length, node, callId?.length]).toEqual([2, "one", 36]);
  });

  it("the fleet and its health can be asked for", async () => {
    expect((await client.fleet.listModels()).map(({ name }) => name)).toContain(MODEL);
    expect((await client.fleet.selectNode({ model: MODEL })).ranking[0]?.nodeName).toBe("one");
    expect((await client.fleet.checkFeatures(MODEL)).capabilities).toContain("completion");
    expect((await client.fleet.estimateTokens({ model: MODEL, text: "four" })).tokens).toBeGreaterThan(0);
    for await (const change of client.fleet.watch()) {
      expect(change).toMatchObject({ kind: "snapshot", nodes: [{ name: "one", labels: { gpu: "a100" } }] });
      break;
    }
    expect([await client.health(), await client.health("no.such.Service")]).toEqual(["SERVING", "SERVICE_UNKNOWN"]);
  });

  it("a call that is refused says why", async () => {
    const unknown = await failureOf(client.chat({ model: "llama4", messages }).text());
    expect(unknown).toMatchObject({ reason: "MODEL_NOT_FOUND", status: "NOT_FOUND", facts: { model: "llama4" } });
    expect(unknown.callId).toHaveLength(36);
    const lost = await failureOf(client.embed({ model: "nomic-embed-text", input: "a" }, { node: "two" }));
    expect(lost).toMatchObject({ reason: "NODE_NOT_FOUND", status: "NOT_FOUND" });
    const wrong = await failureOf(chat({}, { options: { extra: { temperature: "hot" } } }).text());
    expect([wrong.status, wrong.node]).toEqual(["INVALID_ARGUMENT", expect.anything()]);
    const local = await failureOf(chat({}, { options: { numPredict: 1.5 } }).text());
    expect(local.reason).toBe("INVALID_ARGUMENT_LOCAL");
  });

  it("a passed deadline reads the same from the router and from the caller's own timer", async () => {
    // 300 ms: the router has the last word 6 ms before. 6 ms: hardly anybody but the caller's own timer.
    for (const timeoutMs of [300, 6]) {
      const error = await failureOf(chat({ timeoutMs }).text());
      expect(error).toMatchObject({ reason: "DEADLINE_EXCEEDED", status: "DEADLINE_EXCEEDED" });
      expect(error.message).toMatch(/deadline/i);
    }
  });

  type Ending = [string, (stream: ReturnType<typeof chat>, controller: AbortController) => Promise<void>, CallOptions?];
  it.each<Ending>([
    ["the loop is left", async (stream) => void (await stream[Symbol.asyncIterator]().return?.())],
    ["cancel() is called", async (stream) => stream.cancel()],
    ["its signal aborts", async (_stream, controller) => controller.abort()],
    ["its deadline passes", () => Promise.resolve(), { timeoutMs: 800 }],
  ])("Ollama's socket is closed when %s", async (what, end, options = {}) => {
    await forget();
    const controller = new AbortController();
    const stream = chat({ signal: controller.signal, ...options });
    const loop = (async () => {
      let pieces = 0;
      for await (const _ of stream) {
        if (++pieces < 5) continue;
        if (what === "the loop is left") break;
        if (pieces === 5) await end(stream, controller);
      }
    })();
    if (what === "the loop is left") await loop;
    else expect((await failureOf(loop)).tokensReceived).toBeGreaterThan(4);
    await vi.waitFor(async () => {
      expect(await chatsAtOllama()).toMatchObject([{ end: { how: "client-closed" } }]);
    }, soon);
    const told = await failureOf(stream.result());
    expect(told.reason).toBe(what === "its deadline passes" ? "DEADLINE_EXCEEDED" : "CANCELLED");
    expect(told.partialText).not.toBe("");
  });

  it("Ollama's socket is closed when an embed call is aborted", async () => {
    await forget();
    const faults = JSON.stringify({ faults: [{ kind: "hang", endpoint: "embed", times: 1 }] });
    expect((await fetch(`${ollama.url}/sim/faults`, { method: "PUT", body: faults })).status).toBe(200);
    const controller = new AbortController();
    const failed = failureOf(client.embed({ model: "nomic-embed-text", input: "a" }, { signal: controller.signal }));
    await vi.waitFor(async () => expect(await askedOf("/api/embed")).toHaveLength(1), soon);
    controller.abort(new Error("changed my mind"));
    expect(await failed).toMatchObject({ reason: "CANCELLED", cause: { message: "changed my mind" } });
    await vi.waitFor(async () => {
      expect(await askedOf("/api/embed")).toMatchObject([{ end: { how: "client-closed" } }]);
    }, soon);
  });

  it("a caller that does not read holds up the answer at its source", async () => {
    let sent = 0;
    const endless = await startEndlessAnswer(() => sent++);
    await using reading = createDroverClient({ address: endless.address });
    try {
      const reader = reading.chat({ model: MODEL, messages })[Symbol.asyncIterator]();
      await reader.next();
      await sleep(1_000);
      // What lies in sockets and windows on the way, and no more than that: over HTTP/1.1 the kernel alone may hold 10 MiB (tcp(7)).
      expect(sent).toBeLessThan(256);
      for (let read = 0; read < 400; read++) await reader.next();
      expect(sent).toBeGreaterThan(400);
      await reader.return?.();
    } finally {
      endless.destroy();
    }
  });

  it("a closed client ends what runs, at Ollama too", async () => {
    await forget();
    await using other = createDroverClient({ address: router.address });
    const reader = other.chat({ model: MODEL, messages })[Symbol.asyncIterator]();
    await reader.next();
    await other.close();
    expect((await failureOf(reader.next())).reason).toBe("CLIENT_CLOSED");
    await vi.waitFor(async () => {
      expect(await chatsAtOllama()).toMatchObject([{ end: { how: "client-closed" } }]);
    }, soon);
  });

  it("a call that waits tells so", async () => {
    const operator = overGrpc({ address: router.address });
    await operator.fleet.drainNode("one", "new fan");
    const seen: Progress[] = [];
    const waiting = chat({ maxWaitMs: 2_500, onProgress: (progress) => void seen.push(progress) }, { options: short });
    const error = await failureOf(waiting.text());
    expect((await operator.fleet.resumeNode("one")).availability).toBe("available");
    await operator.close();
    expect([seen[0]?.kind, error.status]).toEqual(["queued", "UNAVAILABLE"]);
    expect(error.retryAfterMs).toBeGreaterThan(0);
  });

  it("a router that dies under a call, and one that is not there, are told apart", async () => {
    const doomed = await startDrover("router", ["--nodes", agent.address]);
    await using lonely = createDroverClient({ address: doomed.address });
    await vi.waitUntil(async () => (await lonely.fleet.listNodes())[0]?.availability === "available", {
      timeout: 10_000,
    });
    const reader = lonely.chat({ model: MODEL, messages })[Symbol.asyncIterator]();
    await reader.next();
    await reader.next();
    await doomed.stop("SIGKILL");
    const lost = await failureOf(
      (async () => {
        while ((await reader.next()).done !== true);
      })(),
    );
    expect(lost).toMatchObject({ reason: "CONNECTION_LOST", status: "UNAVAILABLE" });
    expect(lost.tokensReceived).toBeGreaterThan(0);
    const gone = await failureOf(lonely.embed({ model: "nomic-embed-text", input: "a" }));
    expect(gone).toMatchObject({ reason: "ROUTER_UNREACHABLE", status: "UNAVAILABLE" });
  });
});

describeWith(["ollama", "model"], "over the real Ollama", () => {
  const Animal = z.object({ legs: z.int(), name: z.enum(["cat", "hen"]) });
  let real: RealOllama;
  let node: DroverProcess;

  beforeAll(async () => {
    real = await startRealOllama();
    node = await startDrover("agent", ["--ollama", real.url, "--name", "real"]);
  }, 120_000);
  afterAll(async () => {
    expect(await node?.stop()).toBe(0);
    await real?.close();
  });

  it("an answer has the shape of its schema, its keys in the schema's order, and the schema's type", async () => {
    await using client = overGrpc({ address: node.address });
    const options = { temperature: 0, seed: 1, numPredict: 60 };
    const about = [{ role: "user", content: "Name an animal and count its legs, as JSON." }];
    const request = { model: real.models.chat, messages: about, format: Animal, options };
    const { parsed, text, generatedTokens } = await client.chat(request, { timeoutMs: 60_000 }).result();
    expectTypeOf(parsed).toEqualTypeOf<{ legs: number; name: "cat" | "hen" }>();
    expect([typeof parsed.legs, ["cat", "hen"].includes(parsed.name)]).toEqual(["number", true]);
    expect(text.indexOf("legs")).toBeLessThan(text.indexOf("name"));
    expect(generatedTokens).toBeGreaterThan(5);
  }, 90_000);

  it("an answer that is cut at its limit is no JSON, and says why", async () => {
    await using client = overGrpc({ address: node.address });
    const request = { model: real.models.chat, prompt: "An animal.", format: Animal, options: { numPredict: 3 } };
    const error = await failureOf(client.generate(request, { timeoutMs: 60_000 }).result());
    expect(error).toMatchObject({ reason: "OUTPUT_INVALID", message: expect.stringContaining("cut at its limit") });
    expect(error.partialText).toContain("{");
  }, 90_000);
});
