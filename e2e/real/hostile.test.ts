/**
 * What takes longer of slow and hostile peers: machines that vanish without a word, agents that are killed in a loop under load,
 * readers that stop beside readers that do not, and the budget of request bodies filled for real.
 */
import { readFileSync } from "node:fs";
import http2, { type ClientHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { ChatRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type BlackHole, openBlackHole } from "../src/black-hole.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const { chat } = InferenceService.method;
const { listNodes } = RouterService.method;
const MODEL = "llama3.2:1b";
const CHAT = `/${InferenceService.typeName}/Chat`;
const MIB = 1024 * 1024;
const UNCAUGHT = /"level":"fatal"|uncaught|unhandled/i;

const ends: (() => unknown)[] = [];
const logs: DroverProcess[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  for (const { log } of logs.splice(0)) expect(log()).not.toMatch(UNCAUGHT);
});

async function start(program: "router" | "agent", ...flags: string[]): Promise<DroverProcess> {
  const started = await startDrover(program, flags);
  ends.push(() => started.stop("SIGKILL"));
  logs.push(started);
  return started;
}

async function ollamaWith(...flags: string[]): Promise<SimOllamaProcess> {
  const ollama = await startSimOllama(["--models", MODEL, "--load-seconds", "0", "--slots", "8", ...flags]);
  ends.push(() => ollama.close());
  return ollama;
}

function caller(address: string): GrpcJsCaller {
  const created = createGrpcJsCaller(address);
  ends.push(() => created.close());
  return created;
}

async function blackHole(target: string): Promise<BlackHole> {
  const hole = await openBlackHole(target);
  ends.push(() => hole.close());
  return hole;
}

function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

const say = (content = "Tell me a story", numPredict?: number) => ({
  model: MODEL,
  messages: [{ role: "user", content }],
  ...(numPredict === undefined ? {} : { options: { numPredict } }),
});

function framedChat(content: string, numPredict?: number): Buffer {
  const message = toBinary(ChatRequestSchema, create(ChatRequestSchema, say(content, numPredict)));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function connect(address: string) {
  const session = http2.connect(`http://${address}`);
  session.on("error", () => undefined);
  ends.push(() => session.destroy());
  return (body: Uint8Array, isWhole = true): ClientHttp2Stream => {
    const headers = { ":method": "POST", ":path": CHAT, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request(headers);
    stream.on("error", () => undefined);
    if (isWhole) stream.end(body);
    else stream.write(body);
    return stream;
  };
}

async function attached(grpc: GrpcJsCaller, count: number): Promise<void> {
  await vi.waitUntil(
    async () => (await grpc.unary(listNodes, {})).nodes.filter((node) => node.availability === 1).length >= count,
    { timeout: 10_000 },
  );
}

describe.each(["router", "agent"] as const)("a reader that stops, at the %s", (name) => {
  it("does not slow another on its own connection, and its call does not hold the node", async () => {
    const ollama = await ollamaWith("--speed", "1000", "--answer-tokens", "6000");
    const agent = await start("agent", "--ollama", ollama.url, "--slots", "8");
    const router = await start("router", "--nodes", agent.address);
    await attached(caller(router.address), 1);
    const request = connect(name === "router" ? router.address : agent.address);
    const stuck = request(framedChat("one"));
    stuck.pause();
    await sleep(500);
    let lastMs = performance.now();
    let longestGapMs = 0;
    const reading = request(framedChat("two", 2_000)).on("data", () => {
      longestGapMs = Math.max(longestGapMs, performance.now() - lastMs);
      lastMs = performance.now();
    });
    const startMs = performance.now();
    const trailers = await new Promise<Record<string, unknown>>((resolve) => reading.once("trailers", resolve));
    expect(trailers["grpc-status"]).toBe("0");
    // 2,000 tokens at 1,000 a second; the rest is for a busy machine.
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(longestGapMs).toBeLessThan(3_000);
    // The stuck one has more to say than its windows hold, and its node is free all the same.
    expect(stuck.closed).toBe(false);
    await vi.waitUntil(async () => (await caller(router.address).unary(listNodes, {})).nodes[0]?.load?.active === 0, {
      timeout: 20_000,
      interval: 500,
    });
    expect(stuck.closed).toBe(false);
  }, 60_000);
});

describe("a connection that is half open", () => {
  it("is found by pings on the caller's side, and its call's slot is given back", async () => {
    const ollama = await ollamaWith("--speed", "2", "--answer-tokens", "4000");
    const agent = await start("agent", "--ollama", ollama.url, "--slots", "8");
    const router = await start("router", "--nodes", agent.address);
    const grpc = caller(router.address);
    await attached(grpc, 1);
    const hole = await blackHole(router.address);
    const stream = connect(hole.address)(framedChat("a long one"));
    stream.resume();
    await new Promise((resolve) => stream.once("data", resolve));
    const active = async (): Promise<number | undefined> => (await grpc.unary(listNodes, {})).nodes[0]?.load?.active;
    await vi.waitUntil(async () => (await active()) === 1, { timeout: 5_000 });
    hole.swallow();
    const startMs = performance.now();
    await vi.waitUntil(async () => (await active()) === 0, { timeout: 80_000, interval: 500 });
    expect(performance.now() - startMs).toBeLessThan(75_000);
  }, 100_000);

  it("is found by pings on the node's side, and the call ends with the truth", async () => {
    const ollama = await ollamaWith("--speed", "2", "--answer-tokens", "4000");
    const agent = await start("agent", "--ollama", ollama.url);
    const hole = await blackHole(agent.address);
    const router = await start("router", "--nodes", hole.address);
    const grpc = caller(router.address);
    await attached(grpc, 1);
    const call = grpc.stream(chat, say("a long one"));
    await sleep(2_000);
    hole.swallow();
    const startMs = performance.now();
    const { error, messages } = await call;
    expect(messages.length).toBeGreaterThan(0);
    expect(error?.code).toBe(status.UNAVAILABLE);
    expect(performance.now() - startMs).toBeLessThan(40_000);
  }, 100_000);
});

describe("an agent that is killed and started again in a loop", () => {
  it("costs no call whose stream had not begun, under 50 calls a second with a second node there", async () => {
    const ollama = await ollamaWith("--speed", "1000", "--answer-tokens", "20");
    const steady = await start("agent", "--ollama", ollama.url, "--name", "steady", "--slots", "8");
    let restless = await startDrover("agent", ["--ollama", ollama.url, "--name", "restless", "--slots", "8"]);
    ends.push(() => restless.stop("SIGKILL"));
    const router = await start("router", "--nodes", `${steady.address},${restless.address}`);
    const grpc = caller(router.address);
    await attached(grpc, 2);

    let isOver = false;
    let restarts = 0;
    const restarting = (async (): Promise<void> => {
      while (!isOver) {
        const { address } = restless;
        await restless.stop(restarts % 2 === 0 ? "SIGKILL" : "SIGTERM");
        restless = await startDrover("agent", [
          "--ollama",
          ollama.url,
          "--name",
          "restless",
          "--slots",
          "8",
          "--listen",
          address,
        ]);
        restarts++;
        await sleep(1_000);
      }
    })();
    const calls: ReturnType<typeof grpc.stream>[] = [];
    const endMs = performance.now() + 20_000;
    while (performance.now() < endMs) {
      calls.push(grpc.stream(chat, say()));
      await sleep(20);
    }
    const results = await Promise.all(calls);
    isOver = true;
    await restarting;
    const lostUnbegun = results.filter(({ error, messages }) => error !== undefined && messages.length === 0);
    expect(lostUnbegun.map(({ error }) => error?.message)).toEqual([]);
    // Both ways at least once; a busy machine takes seconds for each start.
    expect(restarts).toBeGreaterThanOrEqual(2);
    expect(results.length).toBeGreaterThan(300);
    expect(router.log()).not.toMatch(/"level":"error"/);
  }, 90_000);
});

describe("512 MiB of request bodies", () => {
  it("are all that running calls hold: the next is refused, and all comes back", async () => {
    const ollama = await ollamaWith("--speed", "1000", "--answer-tokens", "5");
    const agent = await start("agent", "--ollama", ollama.url);
    const router = await start("router", "--nodes", agent.address);
    const grpc = caller(router.address);
    await attached(grpc, 1);
    // 63 MiB each, and the last byte of none: eight fit, and 8 MiB more.
    const request = connect(router.address);
    const body = Buffer.alloc(63 * MIB);
    body.writeUInt32BE(body.length - 4, 1);
    const refused = async (): Promise<boolean> => {
      const { error } = await grpc.stream(chat, say("x".repeat(10 * MIB)), { deadline: Date.now() + 20_000 });
      return error?.code === status.RESOURCE_EXHAUSTED && error.details.includes("as many bytes of requests");
    };
    const isServed = async (): Promise<boolean> => (await grpc.stream(chat, say("x".repeat(MIB)))).error === undefined;
    for (const _round of ["first", "again, which shows that all came back"]) {
      const streams = Array.from({ length: 8 }, () => request(body, false));
      // Not earlier: what is asked meanwhile would take the room of one of the eight.
      await vi.waitUntil(() => streams.every((stream) => stream.bufferSize === 0), { timeout: 30_000, interval: 200 });
      expect(await refused()).toBe(true);
      // Bodies, what outgrown blocks leave until they are collected, and the process itself.
      expect(rssMb(router.pid)).toBeLessThan(1_400);
      for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
      await vi.waitUntil(isServed, { timeout: 10_000, interval: 200 });
    }
  }, 90_000);
});
