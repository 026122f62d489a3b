/**
 * A client without a router against real agents: calls end as they do through a router, leaving reaches Ollama, agents are found in
 * DNS and Consul, and closing leaves nothing behind.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createDirectClient, type DirectTransport, openDirectTransport } from "@drover/client/direct";
import { droverErrorFromConnect, type EndingKind } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama, type Fault, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { DEAD_ENDPOINT, type EndingFleet, MODEL, startEndingFleet } from "../src/ending-fleet.ts";
import { startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";

type Client = ReturnType<typeof clientOf>;

const clientOf = (transport: Transport) => createClient(InferenceService, transport);

interface Row {
  readonly what: string;
  /** Undefined: it ends well. */
  readonly kind: EndingKind | undefined;
  readonly faults?: readonly Fault[];
  readonly call?: (client: Client, options: CallOptions) => AsyncIterable<unknown> | Promise<unknown>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

interface CallOptions {
  readonly headers: Record<string, string>;
  readonly timeoutMs?: number;
  readonly onHeader: (headers: globalThis.Headers) => void;
  readonly onTrailer: (headers: globalThis.Headers) => void;
}

/** What a caller sees of an ending, without what is another in each call: ids, times, which of two equal nodes it was. */
interface Seen {
  readonly code: string;
  readonly kind: EndingKind | undefined;
  readonly message: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly metadata: readonly string[];
  readonly events: readonly string[];
}

const messages = [{ role: "user", content: "hello" }];
const chat =
  (model: string, more: object = {}) =>
  (client: Client, options: CallOptions) =>
    client.chat({ model, messages, ...more }, options);
const fault = (kind: "status" | "cut" | "hang" | "runner-crash" | "end-without-done", more: object = {}): Fault[] => [
  { kind, endpoint: "chat", ...more } as Fault,
];

const ROWS: readonly Row[] = [
  { what: "well, with all trailers and the reasons of the choice", kind: undefined, headers: { "drover-why": "1" } },
  { what: "without a model", kind: "malformed_request", call: chat("") },
  { what: "for a model that nobody has", kind: "model_not_found", call: chat("llama3.3:1b") },
  { what: "for a node that nobody knows", kind: "node_not_found", headers: { "drover-node": "c" } },
  { what: "with labels that are none", kind: "malformed_request", headers: { "drover-labels": "gpu" } },
  {
    what: "for what the model cannot do",
    kind: "capability_missing",
    call: chat("plain", { tools: [{ function: { name: "clock", parametersJson: '{"type":"object"}' } }] }),
  },
  {
    what: "with a prompt that is too long, unary",
    kind: "context_exceeded",
    call: (client, options) =>
      client.embed({ model: "nomic-embed-text", input: ["word ".repeat(9_000)], truncate: false }, options),
  },
  { what: "while every Ollama is busy", kind: "ollama_busy", faults: fault("status", { status: 503 }) },
  {
    what: "where Ollama fails strangely",
    kind: "ollama_failed",
    faults: fault("status", { status: 500, message: "odd" }),
  },
  { what: "where two runners crash", kind: "poison", faults: fault("runner-crash") },
  { what: "where Ollama breaks off", kind: "ollama_unreachable", faults: fault("cut") },
  {
    what: "after some tokens",
    kind: "output_incomplete",
    faults: fault("end-without-done", { afterChunks: 3 }),
  },
  { what: "with its deadline", kind: "deadline_exceeded", faults: fault("hang"), timeoutMs: 1_400 },
];

async function see(row: Row, transport: Transport): Promise<Seen> {
  const metadata = new Set<string>();
  const note = (headers: globalThis.Headers): void => {
    for (const [key] of headers) if (/^drover-|^grpc-retry/.test(key)) metadata.add(key);
  };
  const headers = { "drover-progress": "off", ...row.headers };
  const timeout = row.timeoutMs === undefined ? {} : { timeoutMs: row.timeoutMs };
  const options = { headers, ...timeout, onHeader: note, onTrailer: note };
  const events: string[] = [];
  let error: ConnectError | undefined;
  try {
    const answer = (row.call ?? chat(MODEL))(clientOf(transport), options);
    if (Symbol.asyncIterator in answer) {
      for await (const message of answer) events.push((message as { event: { case: string } }).event.case);
    } else await answer;
  } catch (failure) {
    error = ConnectError.from(failure);
    note(error.metadata);
  }
  const told = error === undefined ? undefined : droverErrorFromConnect(error);
  return {
    code: error === undefined ? "OK" : (Code[error.code] ?? ""),
    kind: told?.kind,
    message: plain(error?.rawMessage ?? ""),
    facts: Object.fromEntries(Object.entries(told?.facts ?? {}).map(([key, value]) => [key, plain(value)])),
    retryAfterMs: told?.retryAfterMs,
    metadata: [...metadata].sort(),
    events,
  };
}

/** Nodes a and b are equal, and times are never. */
function plain(text: string): string {
  return text.replaceAll(/"?\b[ab]\b"?/g, "NODE").replaceAll(/\d+(\.\d+)?/g, "N");
}

describe("a call without a router ends as through one:", () => {
  let fleet: EndingFleet;
  let direct: DirectTransport;
  let session: Http2SessionManager;
  let router: Transport;
  beforeAll(async () => {
    fleet = await startEndingFleet();
    direct = openDirectTransport({ agents: [...fleet.nodes.map(({ front }) => front.address), DEAD_ENDPOINT] });
    const baseUrl = `http://${fleet.router.address}`;
    session = new Http2SessionManager(baseUrl);
    router = createGrpcTransport({ baseUrl, sessionManager: session, acceptCompression: [] });
  });
  afterAll(async () => {
    session?.abort();
    await direct?.close();
    await fleet?.close();
  });
  /** Pays for retries and ends rows of failures, of both. */
  afterEach(async () => {
    await fleet.heal();
    for (const name of ["a", "b", "a", "b", "a", "b", "a", "b"]) {
      const ended = await see({ what: "", kind: undefined, headers: { "drover-node": name } }, direct.transport);
      expect(ended.code).toBe("OK");
    }
  });

  // Again: where this one process stands still for 28 ms, its own timer of a deadline is as late as the fleet's.
  it.each(ROWS.map((row): [string, Row] => [row.what, row]))("%s", { retry: 2 }, async (_what, row) => {
    fleet.setFaults(row.faults ?? []);
    const throughRouter = await see(row, router);
    const ended = await see(row, direct.transport);
    expect(ended.kind).toBe(row.kind);
    expect(ended).toEqual(throughRouter);
  });
});

describe("a program without a router", () => {
  let ollama: SimOllama;
  let agent: DroverProcess;
  beforeAll(async () => {
    ollama = await createSimOllama({ models: [MODEL], loadSeconds: 0, speed: 100 });
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one"]);
  });
  afterAll(async () => {
    await agent?.stop();
    await ollama?.close();
  });

  const running = () => ollama.requests().filter(({ path, end }) => path === "/api/chat" && end === undefined);

  it.each(["leaving the loop", "aborting", "closing the client"])("ends the call at Ollama by %s", async (how) => {
    const client = createDirectClient({ agents: agent.address });
    const stop = new AbortController();
    ollama.clearRequests();
    ollama.setFaults([{ kind: "hang", afterChunks: 2, endpoint: "chat" }]);
    const stream = client.chat({ model: MODEL, messages: [{ role: "user", content: "hi" }] }, { signal: stop.signal });
    const read = (async () => {
      for await (const _chunk of stream) {
        expect(running()).toHaveLength(1);
        if (how === "leaving the loop") break;
        if (how === "aborting") stop.abort();
        if (how === "closing the client") void client.close();
      }
    })().catch((error: unknown) => (error as { reason: string }).reason);
    const reasons = { aborting: "CANCELLED", "closing the client": "CLIENT_CLOSED" };
    expect(await read).toBe((reasons as Record<string, string>)[how]);
    await vi.waitUntil(() => running().length === 0, { timeout: 2_000 });
    expect(ollama.requests().find(({ path }) => path === "/api/chat")?.end?.how).toBe("client-closed");
    ollama.setFaults([]);
    await client.close();
  });

  it("ends by itself once its client is closed, and nothing of it is left", async () => {
    const program = fileURLToPath(new URL("../src/direct-program.ts", import.meta.url));
    // One more address at which nobody listens, and a name with its own timers.
    const agents = `${agent.address},127.0.0.1:9,dns:///localhost:9`;
    const child = fork(program, [agents, MODEL], { execArgv: [] });
    const reported = new Promise((resolve) => child.once("message", resolve));
    const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    expect(await reported).toEqual({ text: true, watched: "CLIENT_CLOSED", alive: [] });
    const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    expect(await exited).toBe(0);
    clearTimeout(timer);
  });

  it("finds its agents by DNS", async () => {
    await using client = createDirectClient({ agents: `dns:///localhost:${agent.address.split(":")[1]}` });
    const { node } = await client.chat({ model: MODEL, messages: [{ role: "user", content: "hi" }] }).result();
    expect(node).toBe("one");
    expect((await client.fleet.listNodes()).find(({ name }) => name === "one")?.sources).toEqual(["dns"]);
  });
});

describeWith(["consul"], "a program that finds agents in Consul", ({ consul: program }) => {
  it("calls them as they come, and loses those that leave", async () => {
    const consul = await startRealConsul(program);
    const ollama = await createSimOllama({ models: [MODEL], loadSeconds: 0 });
    const { host } = new URL(consul.url);
    const client = createDirectClient({ agents: `consul://${host}/drover-agent` });
    const agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--consul", consul.url]);
    try {
      await vi.waitUntil(async () => (await client.fleet.listNodes()).length === 1, { timeout: 10_000 });
      const { node } = await client.chat({ model: MODEL, messages: [{ role: "user", content: "hi" }] }).result();
      expect(node).toBe("one");
      expect((await client.fleet.listNodes()).map(({ sources }) => sources)).toEqual([["consul"]]);
      await agent.stop();
      await vi.waitUntil(async () => (await client.fleet.listNodes()).length === 0, { timeout: 10_000 });
    } finally {
      await client.close();
      await agent.stop();
      await ollama.close();
      await consul.close();
    }
  });
});
