/**
 * From the moment a caller leaves until Ollama's socket is closed, through router and agent: the time that a GPU works for
 * nobody. The simulated Ollama runs in this process, so that both ends of the measurement are on one clock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { systemClock } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama, type RequestPhase, type SimOllama } from "@drover/sim-ollama";
import { type Figure, quantile } from "./figure.ts";
import { type Program, startProgram } from "./processes.ts";

const MODEL = "bench-embed";
const ROUNDS = 100;
const QUEUE_ROUNDS = 50;
/** Slots for every round of every case, so that a slot that still cools holds nobody up. */
const SLOTS = 1_000;
/** Tokens per second: a prompt of some 400 words is read for seconds. */
const PREFILL_SPEED = 100;
const LONG_PROMPT = "word ".repeat(400);
/** What has not happened by then never will. */
const PATIENCE_MS = 5_000;
const GOAL_MS = 20;

interface Case {
  readonly name: string;
  readonly phase: RequestPhase;
  readonly path: string;
  readonly call: (transport: Transport, signal: AbortSignal) => void;
  readonly transport: (address: string) => Transport;
}

const overGrpc = (address: string): Transport => createGrpcTransport({ baseUrl: `http://${address}` });
const overHttp1 = (address: string): Transport =>
  createConnectTransport({ baseUrl: `http://${address}`, httpVersion: "1.1" });

const CASES: readonly Case[] = [
  { name: "Chat in its prefill", phase: "prefill", path: "/api/chat", call: chatLong, transport: overGrpc },
  { name: "Chat mid-stream", phase: "decode", path: "/api/chat", call: chatShort, transport: overGrpc },
  { name: "Embed", phase: "prefill", path: "/api/embed", call: embed, transport: overGrpc },
  {
    name: "Chat mid-stream, Connect on HTTP/2",
    phase: "decode",
    path: "/api/chat",
    call: chatShort,
    transport: (address) => createConnectTransport({ baseUrl: `http://${address}`, httpVersion: "2" }),
  },
  {
    name: "Chat in its prefill, Connect on HTTP/1.1",
    phase: "prefill",
    path: "/api/chat",
    call: chatLong,
    transport: overHttp1,
  },
  { name: "Embed, Connect on HTTP/1.1", phase: "prefill", path: "/api/embed", call: embed, transport: overHttp1 },
  {
    name: "Chat mid-stream, Connect on HTTP/1.1",
    phase: "decode",
    path: "/api/chat",
    call: chatShort,
    transport: overHttp1,
  },
];

export async function benchCancel(): Promise<readonly Figure[]> {
  // Wall time with a fraction, to be compared with the simulator's.
  const clock = { ...systemClock, wallMs: wallNowMs };
  const ollama = await createSimOllama({
    models: [MODEL],
    slots: SLOTS,
    prefillSpeed: PREFILL_SPEED,
    answerTokens: 2_000,
    clock,
  });
  const stateDir = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const programs: Program[] = [];
  try {
    const own = (name: string): string[] => [
      "--listen",
      "127.0.0.1:0",
      "--ops-listen",
      "127.0.0.1:0",
      "--log-level",
      "warn",
      "--state-dir",
      join(stateDir, name),
    ];
    const agent = await startProgram(launcher("agent"), [
      ...own("agent"),
      "--ollama",
      ollama.url,
      "--slots",
      String(SLOTS),
    ]);
    programs.push(agent);
    const router = await startProgram(launcher("router"), [...own("router"), "--nodes", agent.address]);
    programs.push(router);
    const figures: Figure[] = [];
    for (const each of CASES) figures.push(...figuresOf(each, await measure(each, ollama, router.address)));
    const narrow = await startProgram(launcher("agent"), [...own("narrow"), "--ollama", ollama.url, "--slots", "1"]);
    programs.push(narrow);
    figures.push(...(await measureQueue(narrow.address)));
    return figures;
  } finally {
    for (const program of programs.reverse()) program.stop();
    rmSync(stateDir, { recursive: true, force: true });
    await ollama.close();
  }
}

/**
 * A node with one slot: how long until a place in its queue is free, as its status tells it (so with the time of asking), and
 * how long until the first token of a call that waits for the slot of one that leaves mid-stream.
 */
async function measureQueue(address: string): Promise<readonly Figure[]> {
  const transport = overGrpc(address);
  const status = createClient(AgentService, transport);
  const queued = async (): Promise<number | undefined> => (await status.getStatus({})).load?.queued;
  const placeTimes: number[] = [];
  const slotTimes: number[] = [];
  await load(transport);
  for (let round = -1; round < QUEUE_ROUNDS; round++) {
    const [holder, waiter, next] = [new AbortController(), new AbortController(), new AbortController()];
    await firstToken(transport, holder.signal);
    chatShort(transport, waiter.signal);
    while ((await queued()) !== 1);
    const leftAtMs = wallNowMs();
    waiter.abort();
    while ((await queued()) !== 0);
    const placeMs = wallNowMs() - leftAtMs;
    const first = firstToken(transport, next.signal);
    while ((await queued()) !== 1);
    const freedAtMs = wallNowMs();
    holder.abort();
    await first;
    const slotMs = wallNowMs() - freedAtMs;
    next.abort();
    while ((await status.getStatus({})).load?.active !== 0);
    if (round < 0) continue;
    placeTimes.push(placeMs);
    slotTimes.push(slotMs);
  }
  return [
    ...figuresFor("abort to free place in the agent's queue", placeTimes, GOAL_MS),
    ...figuresFor("abort mid-stream to the next call's first token, one slot", slotTimes),
  ];
}

/** Resolves with the first chunk; the rest is read and dropped until `signal`. */
function firstToken(transport: Transport, signal: AbortSignal): Promise<void> {
  const stream = createClient(InferenceService, transport).chat(chat("hello"), { signal });
  return new Promise((resolve) => {
    void (async () => {
      try {
        for await (const { event } of stream) if (event.case === "chunk") resolve();
      } catch {
        // That is how a cancelled call ends.
      }
    })();
  });
}

function launcher(program: string): URL {
  return new URL(`../../services/${program}/bin/drover-${program}.js`, import.meta.url);
}

async function measure(each: Case, ollama: SimOllama, address: string): Promise<readonly number[]> {
  const transport = each.transport(address);
  const times: number[] = [];
  await load(transport);
  // The first round warms up.
  for (let round = -1; round < ROUNDS; round++) {
    ollama.clearRequests();
    const leave = new AbortController();
    each.call(transport, leave.signal);
    await until(each.name, () =>
      ollama.requests().some(({ path, phase }) => path === each.path && phase === each.phase),
    );
    const leftAtMs = wallNowMs();
    leave.abort();
    const closedAtMs = await socketClosed(ollama, each);
    if (round >= 0) times.push(closedAtMs - leftAtMs);
  }
  return times;
}

async function load(transport: Transport): Promise<void> {
  for await (const _ of createClient(InferenceService, transport).chat({
    ...chat("hello"),
    options: { numPredict: 1 },
  }));
}

/** When Ollama saw its caller go, on this process's wall clock. */
async function socketClosed(ollama: SimOllama, each: Case): Promise<number> {
  const find = () => ollama.requests().find(({ path, end }) => path === each.path && end?.how === "client-closed");
  await until(each.name, () => find() !== undefined);
  const record = find();
  return (record?.startedAtMs ?? 0) + (record?.end?.afterMs ?? 0);
}

async function until(name: string, isSo: () => boolean): Promise<void> {
  const endMs = wallNowMs() + PATIENCE_MS;
  while (!isSo()) {
    if (wallNowMs() > endMs) throw new Error(`${name}: what should happen did not within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function chatLong(transport: Transport, signal: AbortSignal): void {
  void drain(createClient(InferenceService, transport).chat(chat(LONG_PROMPT), { signal }));
}

function chatShort(transport: Transport, signal: AbortSignal): void {
  void drain(createClient(InferenceService, transport).chat(chat("hello"), { signal }));
}

function embed(transport: Transport, signal: AbortSignal): void {
  createClient(InferenceService, transport)
    .embed({ model: MODEL, input: [LONG_PROMPT] }, { signal })
    .catch(() => undefined);
}

/** Reads until the caller leaves, which ends the stream with an error. */
async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of stream);
  } catch {
    // That is how a cancelled call ends.
  }
}

const chat = (content: string) => ({ model: MODEL, messages: [{ role: "user", content }] });

function figuresOf({ name }: Case, times: readonly number[]): readonly Figure[] {
  return figuresFor(`abort to closed socket, ${name}`, times, GOAL_MS);
}

function figuresFor(name: string, times: readonly number[], goalMs?: number): readonly Figure[] {
  const p99 = quantile(times, 0.99);
  const goal = goalMs === undefined ? {} : { goal: `<= ${goalMs} ms`, ok: p99 <= goalMs };
  return [
    { name: `${name}, p50`, value: quantile(times, 0.5), unit: "ms" },
    { name: `${name}, p99`, value: p99, unit: "ms", ...goal },
  ];
}

function wallNowMs(): number {
  return performance.timeOrigin + performance.now();
}
