/**
 * Who leaves × where the call is: Ollama's socket is closed where the call has one, else its place in the queue is gone, and
 * everything that the call held comes back. Through a router and agents, each a process, beside a simulated Ollama.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import {
  ChatRequestSchema,
  EmbedRequestSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import type { Fault, RequestPhase, RequestRecord } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { call, type Leaving, type Method, type Protocol } from "../src/leaving-caller.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

/** Who leaves. On HTTP/1.1 a call that is cancelled is a connection that is closed. */
type Leaver = readonly [Leaving, Protocol];
const LEAVERS: readonly Leaver[] = [
  ["cancels", "gRPC"],
  ["resets", "gRPC"],
  ["disconnects", "gRPC"],
  ["is killed", "gRPC"],
  ["cancels", "Connect on HTTP/2"],
  ["resets", "Connect on HTTP/2"],
  ["disconnects", "Connect on HTTP/2"],
  ["is killed", "Connect on HTTP/2"],
  ["resets", "Connect on HTTP/1.1"],
  ["disconnects", "Connect on HTTP/1.1"],
  ["is killed", "Connect on HTTP/1.1"],
];

/** Far above what it takes (`npm run bench -- cancel`), and far below every timer that would free things by itself. */
const LIMIT_MS = 3_000;
const soon = { timeout: LIMIT_MS, interval: 5 };
/** Until it is where it is to be left: a process takes its time to start. */
const there = { timeout: 10_000, interval: 5 };

/** Chats and embeds. */
const MODEL = "embed";
/** One model that is not in memory for each row, and one more. */
const COLD = [...LEAVERS.keys(), "others"].map((name) => `cold-${name}`);
const LOAD_MS = 300;

let ollama: SimOllamaProcess;
let router: DroverProcess;
let agents: DroverProcess[];
let fleet: ReturnType<typeof createClient<typeof RouterService>>;
/** With a slot for every row, with one slot, and without an Ollama. */
const nodes = { wide: "wide", narrow: "narrow", away: "away" };
const statusOf = new Map<string, ReturnType<typeof createClient<typeof AgentService>>>();

beforeAll(async () => {
  ollama = await startSimOllama([
    ...["--models", [MODEL, ...COLD].join(","), "--slots", "64", "--answer-tokens", "100000"],
    // Room for all, so that each row has its own load and no unload beside it.
    ...["--load-seconds", String(LOAD_MS / 1_000), "--max-loaded-models", String(1 + COLD.length)],
  ]);
  const start = (name: string, ...flags: string[]) => startDrover("agent", ["--name", name, ...flags]);
  agents = await Promise.all([
    start(nodes.wide, "--ollama", ollama.url, "--slots", "64"),
    start(nodes.narrow, "--ollama", ollama.url, "--slots", "1"),
    start(nodes.away, "--ollama", "http://127.0.0.1:9"),
  ]);
  router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join(",")]);
  fleet = createClient(RouterService, grpcTo(router));
  for (const [index, name] of Object.values(nodes).entries()) {
    const agent = agents[index];
    if (agent !== undefined) statusOf.set(name, createClient(AgentService, grpcTo(agent)));
  }
  await vi.waitFor(async () => expect((await fleet.listNodes({})).nodes.filter(isAvailable)).toHaveLength(2), there);
  await vi.waitFor(async () => {
    const { nodes: all } = await fleet.listNodes({});
    expect(all.filter(({ inventory }) => (inventory?.models.length ?? 0) > 0)).toHaveLength(2);
  }, there);
});
afterAll(async () => {
  for (const program of [router, ...(agents ?? [])]) expect(await program?.stop()).toBe(0);
  await ollama?.close();
});

const grpcTo = ({ address }: DroverProcess) => createGrpcTransport({ baseUrl: `http://${address}` });
const isAvailable = ({ availability }: { availability: number }): boolean => availability === 1;

async function script(faults: readonly Fault[]): Promise<void> {
  const answer = await fetch(`${ollama.url}/sim/faults`, { method: "PUT", body: JSON.stringify({ faults }) });
  expect(answer.status).toBe(200);
}

async function requests(): Promise<readonly RequestRecord[]> {
  const answer = await fetch(`${ollama.url}/sim/requests`);
  const { requests: all } = (await answer.json()) as { requests: RequestRecord[] };
  return all.filter(({ path }) => ["/api/chat", "/api/generate", "/api/embed"].includes(path));
}

const forget = () => fetch(`${ollama.url}/sim/requests`, { method: "DELETE" });

async function loadOf(name: string) {
  const load = (await statusOf.get(name)?.getStatus({}))?.load;
  if (load === undefined) throw new Error(`node ${name} says nothing of its load`);
  return load;
}

async function ownAttempts(name: string): Promise<number> {
  const { nodes: all } = await fleet.listNodes({});
  return all.find(({ identity }) => identity?.name === name)?.ownAttempts ?? Number.NaN;
}

interface Place {
  readonly node: string;
  readonly method?: "Chat" | "Embed";
  readonly model?: string;
}

/** Calls, waits until the call stands where it is to be left, and leaves it there. */
async function leaveWhere([leaving, protocol]: Leaver, place: Place, isThere: () => Promise<void>): Promise<void> {
  const { node, method = "Chat", model = MODEL } = place;
  const before = await ownAttempts(node);
  const left = call({ address: router.address, protocol, method, message: messageOf(method, model), node }, leaving);
  try {
    await left.sent;
    await vi.waitFor(isThere, there);
    left.leave();
    // The lease is back.
    await vi.waitFor(async () => expect(await ownAttempts(node)).toBe(before), soon);
  } finally {
    left.close();
  }
}

function messageOf(method: Method, model: string): Uint8Array {
  return method === "Embed"
    ? toBinary(EmbedRequestSchema, create(EmbedRequestSchema, { model, input: ["a"] }))
    : toBinary(ChatRequestSchema, create(ChatRequestSchema, { model, messages: [{ role: "user", content: "hi" }] }));
}

/** Chats to the end, one token if not told otherwise. */
async function lastEvent(
  model: string,
  { node = nodes.wide, numPredict = 1, ...options }: { node?: string; numPredict?: number; signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const request = { model, messages: [{ role: "user", content: "hi" }], options: { numPredict } };
  let last: string | undefined;
  const chat = createClient(InferenceService, grpcTo(router)).chat(request, {
    ...options,
    headers: { "drover-node": node },
  });
  for await (const { event } of chat) last = event.case;
  return last;
}

/** What Ollama was asked on this route since the last `forget`: one request, and how it stands. */
async function expectOne(path: string, expected: object): Promise<void> {
  expect((await requests()).filter((request) => request.path === path)).toMatchObject([expected]);
}

async function expectSocketClosed(path: string, phase: RequestPhase): Promise<void> {
  await vi.waitFor(() => expectOne(path, { end: { how: "client-closed", phase } }), soon);
}

describe("during a load", () => {
  test.each(LEAVERS)("a caller that %s over %s leaves the load to end, and the model in memory", async (...leaver) => {
    const model = `cold-${LEAVERS.findIndex((each) => each[0] === leaver[0] && each[1] === leaver[1])}`;
    await forget();
    await leaveWhere(leaver, { node: nodes.wide, model }, () => expectOne("/api/generate", { phase: "loading" }));
    await vi.waitFor(async () => expect((await loadOf(nodes.wide)).queued).toBe(0), soon);
    await expectOne("/api/generate", { phase: "loading" });
    await vi.waitFor(async () => {
      const runners = (await loadOf(nodes.wide)).runners.filter((runner) => runner.model === `${model}:latest`);
      expect(runners).toMatchObject([{ state: RunnerState.LOADED, active: 0, queued: 0 }]);
    }, soon);
    await expectOne("/api/generate", { end: { how: "completed" } });
    expect(await requests()).toHaveLength(1);
  });

  test("a caller that leaves takes the load from nobody who waits for it", async () => {
    await forget();
    const leave = new AbortController();
    const expectWaiting = async (count: number): Promise<void> => expect((await loadOf(nodes.wide)).queued).toBe(count);
    const left = lastEvent("cold-others", { signal: leave.signal });
    await vi.waitFor(() => expectWaiting(1), there);
    const other = lastEvent("cold-others");
    await vi.waitFor(() => expectWaiting(2), there);
    leave.abort();
    await expect(left).rejects.toThrow();
    await vi.waitFor(() => expectWaiting(1), soon);
    expect(await other).toBe("done");
    expect((await requests()).map(({ path, end }) => [path, end?.how])).toEqual([
      ["/api/generate", "completed"],
      ["/api/chat", "completed"],
    ]);
  });
});

describe.each(LEAVERS)("a caller that %s over %s", (...leaver) => {
  test("while it waits at the router is gone from there", async () => {
    const before = cancelledWhileWaiting().length;
    await leaveWhere(leaver, { node: nodes.away }, async () => {
      // A router tells nobody of its waiting calls; its log says afterwards whether this one was among them.
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    await vi.waitFor(() => expect(cancelledWhileWaiting()).toHaveLength(before + 1), soon);
  });

  test("in the prefill closes Ollama's socket", async () => {
    await script([{ kind: "slow-first-token", delayMs: 2_000, endpoint: "chat" }]);
    await forget();
    await leaveWhere(leaver, { node: nodes.wide }, () => expectOne("/api/chat", { phase: "prefill" }));
    await expectSocketClosed("/api/chat", "prefill");
  });

  test("mid-stream closes Ollama's socket", async () => {
    await script([]);
    await forget();
    await leaveWhere(leaver, { node: nodes.wide }, () => expectOne("/api/chat", { phase: "decode" }));
    await expectSocketClosed("/api/chat", "decode");
  });

  test("in Embed closes Ollama's socket", async () => {
    await script([{ kind: "hang", endpoint: "embed" }]);
    await forget();
    const place: Place = { node: nodes.wide, method: "Embed" };
    await leaveWhere(leaver, place, () => expectOne("/api/embed", {}));
    await vi.waitFor(() => expectOne("/api/embed", { end: { how: "client-closed" } }), soon);
  });
});

describe("in the agent's queue", () => {
  const running = new AbortController();
  beforeAll(async () => {
    await script([]);
    lastEvent(MODEL, { node: nodes.narrow, signal: running.signal, numPredict: -1 }).catch(() => undefined);
    await vi.waitFor(async () => expect(await loadOf(nodes.narrow)).toMatchObject({ active: 1, queued: 0 }), there);
    await vi.waitFor(async () => expect((await requests()).at(-1)?.phase).toBe("decode"), there);
    await forget();
  });
  afterAll(() => running.abort());

  test.each(LEAVERS)("a caller that %s over %s gives its place up, and Ollama never hears of it", async (...leaver) => {
    const expectWaiting = async (count: number): Promise<void> =>
      expect(await loadOf(nodes.narrow)).toMatchObject({ active: 1, queued: count });
    await leaveWhere(leaver, { node: nodes.narrow }, () => expectWaiting(1));
    await vi.waitFor(() => expectWaiting(0), soon);
    expect(await requests()).toEqual([]);
  });
});

test("nothing is left of all these calls", async () => {
  for (const name of [nodes.wide, nodes.narrow]) {
    // Slots that cool are free again as well.
    await vi.waitFor(async () => expect(await loadOf(name)).toMatchObject({ active: 0, queued: 0 }), there);
    await vi.waitFor(async () => expect(await ownAttempts(name)).toBe(0), soon);
  }
});

function cancelledWhileWaiting(): string[] {
  const lines = router.log().split("\n");
  return lines.filter((line) => /"attempts":0,"waitedMs":[1-9].*"reason":"CANCELLED"/.test(line));
}
