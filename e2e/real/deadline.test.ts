/**
 * A deadline ends a call wherever it is: the caller gets our message a little before its own timer, the message says where the
 * time went, and Ollama's socket is closed by then. And what callers get for deadlines that are odd, whichever protocol they
 * speak. Through a router and agents, each a process, beside a simulated Ollama.
 */
import { type OutgoingHttpHeaders, request as requestHttp1 } from "node:http";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { droverErrorFromConnect } from "@drover/platform";
import { ChatRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type Fault, type SimOllama } from "@drover/sim-ollama";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";

const MODEL = "chat";
/** Of this every hop keeps 50 ms, the most that it keeps: enough for a busy machine. */
const DEADLINE_MS = 2_500;

let ollama: SimOllama;
let agents: DroverProcess[];
let router: DroverProcess;

beforeAll(async () => {
  ollama = await createSimOllama({
    models: ["chat", "retry", "queue", "cold", "prefill", "decode", "learned"],
    maxLoadedModels: 10,
    slots: 64,
    loadSeconds: 0.02,
    answerTokens: 20,
    speed: 1_000,
  });
  const start = (name: string, ...flags: string[]) => startDrover("agent", ["--name", name, ...flags]);
  agents = await Promise.all([
    start("wide", "--ollama", ollama.url, "--slots", "64", "--labels", "pool=wide"),
    start("second", "--ollama", ollama.url, "--slots", "64", "--labels", "pool=wide"),
    start("narrow", "--ollama", ollama.url, "--slots", "1"),
    start("away", "--ollama", "http://127.0.0.1:9"),
  ]);
  router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join(",")]);
  const fleet = createClient(RouterService, overGrpc());
  await vi.waitFor(
    async () => {
      const { nodes } = await fleet.listNodes({});
      expect(nodes.filter(({ inventory }) => (inventory?.models.length ?? 0) > 0)).toHaveLength(3);
    },
    { timeout: 10_000 },
  );
});
afterAll(async () => {
  for (const program of [router, ...(agents ?? [])]) await program?.stop();
  await ollama?.close();
});

const overGrpc = (): Transport => createGrpcTransport({ baseUrl: `http://${router.address}` });
const overHttp1 = (): Transport => createConnectTransport({ baseUrl: `http://${router.address}`, httpVersion: "1.1" });

interface ChatOptions {
  readonly model?: string;
  readonly node?: string;
  readonly headers?: Record<string, string>;
  /** Only told: without the client's own timer, to see what comes. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** Chats to the end: OK, or the error that ended it. */
async function chat(transport: Transport, { model = MODEL, node, deadlineMs, ...given }: ChatOptions) {
  const request = { model, messages: [{ role: "user", content: "hi" }] };
  const headers = new Headers({ ...given.headers, ...(node === undefined ? {} : { "drover-node": node }) });
  if (deadlineMs !== undefined) {
    headers.set("grpc-timeout", `${deadlineMs}m`);
    headers.set("connect-timeout-ms", String(deadlineMs));
  }
  try {
    for await (const _ of createClient(InferenceService, transport).chat(request, {
      ...(given.signal && { signal: given.signal }),
      headers,
    }));
    return "OK";
  } catch (error) {
    return ConnectError.from(error);
  }
}

interface Phase {
  readonly name: string;
  readonly model: string;
  readonly headers: Record<string, string>;
  /** By the node, or on a busy machine by the router, whose own deadline came before the node's words. */
  readonly says: RegExp;
  /** In which ways Ollama's chats of this model ended; undefined among them is one that goes on. */
  readonly sockets: readonly (string | undefined)[];
}

const PHASES: readonly Phase[] = [
  {
    name: "waiting at the router",
    model: "chat",
    headers: { "drover-node": "away" },
    says: /\(2\d{3} ms of them without a node; no attempt made; no token came\)\. .*\(away: its Ollama does not answer/,
    sockets: [],
  },
  {
    name: "in the second attempt",
    model: "retry",
    headers: { "drover-labels": "pool=wide" },
    says: /2 attempts, the last on node "(wide|second)"; no token came\)/,
    sockets: ["fault", "client-closed"],
  },
  {
    name: "in the agent's queue",
    model: "queue",
    headers: { "drover-node": "narrow" },
    says: /1 attempt, .*no token came\).*(passed in the queue for .*queue 2\.\d s, load 0 ms|heard 0\.\d s before, had the call in its queue)/,
    sockets: [undefined],
  },
  {
    name: "in a load",
    model: "cold",
    headers: { "drover-node": "wide" },
    says: /passed in the load for .* load 2\.\d s, prefill 0 ms|heard 0\.\d s before, was loading the model for [12]\.\d s/,
    sockets: [],
  },
  {
    name: "in the prefill",
    model: "prefill",
    headers: { "drover-node": "wide" },
    says: /passed in the prefill for .* prefill 2\.\d s, decode 0 ms|heard 0\.\d s before, was reading the prompt for [12]\.\d s/,
    sockets: ["client-closed"],
  },
  {
    name: "mid-stream",
    model: "decode",
    headers: { "drover-node": "wide" },
    says: /broke off after 3 messages: .*passed in the decode for .* decode 2\.\d s|the first token came after \d+ ms\)\.$/,
    sockets: ["client-closed"],
  },
];

/** Told to the one call that holds the narrow node's slot, and to each call of its phase. */
const FAULTS: readonly Fault[] = [
  { kind: "delay", delayMs: 300, endpoint: "chat", model: "retry", times: 2 },
  { kind: "status", status: 500, endpoint: "chat", model: "retry", times: 2 },
  { kind: "hang", endpoint: "chat", model: "retry" },
  { kind: "hang", afterChunks: 2, endpoint: "chat", model: "queue" },
  { kind: "delay", delayMs: 20_000, endpoint: "generate", model: "cold" },
  { kind: "slow-first-token", delayMs: 20_000, endpoint: "chat", model: "prefill" },
  { kind: "hang", afterChunks: 3, endpoint: "chat", model: "decode" },
];

const PROTOCOLS = [
  ["gRPC", overGrpc],
  ["Connect on HTTP/1.1", overHttp1],
] as const;

interface Late {
  readonly error: ConnectError;
  readonly tookMs: number;
  /** How Ollama's chats of this model had ended 100 ms after the caller had its answer. */
  readonly sockets: readonly (string | undefined)[];
}

describe("a deadline that passes", () => {
  const outcomes = new Map<string, Late>();
  const keyOf = (phase: Phase, protocol: string): string => `${phase.name} ${protocol}`;

  // All at once, since each of them only waits.
  beforeAll(async () => {
    for (const { model } of PHASES.filter((phase) => phase.model !== "cold")) {
      for (const node of ["wide", "second", "narrow"]) expect(await chat(overGrpc(), { model, node })).toBe("OK");
    }
    ollama.clearRequests();
    const holder = new AbortController();
    await holdNarrow(holder.signal, "queue", FAULTS);
    const calls = PHASES.flatMap((phase) => PROTOCOLS.map(([name, transport]) => ({ phase, name, transport })));
    await Promise.all(
      calls.map(async ({ phase, name, transport }) => outcomes.set(keyOf(phase, name), await late(transport(), phase))),
    );
    holder.abort();
  });

  describe.each(PHASES)("$name", (phase) => {
    test.each(PROTOCOLS.map(([name]) => name))("is told over %s in time, with the phase", (protocol) => {
      const late = outcomes.get(keyOf(phase, protocol));
      const { error, tookMs = 0 } = late ?? {};
      const told = [error && Code[error.code], error?.rawMessage];
      expect(told).toEqual(["DeadlineExceeded", expect.stringMatching(phase.says)]);
      expect(error && droverErrorFromConnect(error)?.kind).toBe("deadline_exceeded");
      expect(tookMs).toBeGreaterThan(DEADLINE_MS * 0.9);
      // What they wait for takes far longer; on a machine of its own this is within a hop's 50 ms.
      expect(tookMs).toBeLessThan(DEADLINE_MS + 1_000);
    });

    test("has closed Ollama's sockets by then", () => {
      for (const [protocol] of PROTOCOLS) {
        expect(new Set(outcomes.get(keyOf(phase, protocol))?.sockets)).toEqual(new Set(phase.sockets));
      }
    });
  });
});

describe("a caller with a timer of its own, grpc-js on a warm connection", () => {
  const CALLS = 10;
  /** On a busy machine its timer may fire first, which no server can help. */
  const LEAST_TOLD = 7;
  const LATEST_MS = 500;
  /** So that one pause of the machine meets one call or two. */
  const APART_MS = 100;

  test("has our message before its deadlines of 1 s and of 3 s", async () => {
    ollama.setFaults([{ kind: "hang", endpoint: "chat", model: MODEL }]);
    const caller = createGrpcJsCaller(router.address);
    onTestFinished(() => caller.close());
    const request = { model: MODEL, messages: [{ role: "user", content: "hi" }] };
    const ask = async (deadlineMs: number) => {
      const startedAtMs = performance.now();
      const settings = { deadline: Date.now() + deadlineMs, metadata: { "drover-node": "wide" } };
      const { error } = await caller.stream(InferenceService.method.chat, request, settings);
      return { code: error?.code, details: error?.details, lateMs: performance.now() - startedAtMs - deadlineMs };
    };
    for (let warmUp = 0; warmUp < 5; warmUp++) await ask(60);
    const calls: [ReturnType<typeof ask>[], ReturnType<typeof ask>[]] = [[], []];
    for (let count = 0; count < CALLS; count++) {
      calls[0].push(ask(1_000));
      calls[1].push(ask(3_000));
      await new Promise((resolve) => setTimeout(resolve, APART_MS));
    }
    for (const answers of await Promise.all(calls.map((each) => Promise.all(each)))) {
      for (const { code, lateMs } of answers) {
        expect(code).toBe(status.DEADLINE_EXCEEDED);
        expect(lateMs).toBeLessThan(LATEST_MS);
      }
      const details = answers.map((answer) => answer.details);
      const told = details.filter((text) => text?.startsWith("The deadline passed after "));
      expect(told.length, details.join("\n")).toBeGreaterThanOrEqual(LEAST_TOLD);
    }
  });
});

const chatsOf = (model: string) =>
  ollama.requests().filter(({ path, body }) => path === "/api/chat" && (body as { model?: string }).model === model);
const socketsOf = (model: string) => chatsOf(model).map(({ end }) => end?.how);

/** A call that its deadline ends. */
async function late(transport: Transport, phase: Phase): Promise<Late> {
  const startedAtMs = performance.now();
  const error = await chat(transport, { ...phase, deadlineMs: DEADLINE_MS });
  const tookMs = performance.now() - startedAtMs;
  if (error === "OK") throw new Error(`${phase.name}: it ended well`);
  // The two of a phase are told within milliseconds of each other.
  await new Promise((resolve) => setTimeout(resolve, 100));
  return { error, tookMs, sockets: socketsOf(phase.model) };
}

/** Takes the one slot of the narrow node. */
async function holdNarrow(signal: AbortSignal, model: string, faults: readonly Fault[]): Promise<void> {
  ollama.setFaults(faults);
  ollama.clearRequests();
  void chat(overGrpc(), { node: "narrow", signal, model });
  await vi.waitFor(() => expect(ollama.requests().some(({ phase }) => phase === "decode")).toBe(true), {
    timeout: 10_000,
    interval: 5,
  });
}

test("a wait that cannot fit into the deadline is refused at once, and told when to come back", async () => {
  ollama.setFaults([{ kind: "slow-first-token", delayMs: 700, endpoint: "chat", model: "learned", times: 3 }]);
  for (let i = 0; i < 3; i++) expect(await chat(overGrpc(), { node: "narrow", model: "learned" })).toBe("OK");
  const another = new AbortController();
  await holdNarrow(another.signal, "learned", [{ kind: "hang", afterChunks: 2, endpoint: "chat", times: 1 }]);
  for (const [, transport] of PROTOCOLS) {
    const startedAtMs = performance.now();
    const error = await chat(transport(), { node: "narrow", model: "learned", deadlineMs: 400 });
    expect(performance.now() - startedAtMs).toBeLessThan(350);
    if (error === "OK") throw new Error("it ended well");
    expect(Code[error.code]).toBe("ResourceExhausted");
    const { kind, retryAfterMs } = droverErrorFromConnect(error) ?? {};
    expect(kind).toBe("wait_exceeded");
    expect(retryAfterMs).toBeGreaterThan(350);
    expect(retryAfterMs).toBeLessThan(5_000);
  }
  another.abort();
});

type Wire = "gRPC" | "gRPC-Web" | "Connect on HTTP/1.1" | "Connect on HTTP/2";

/** A duplicate header is a list. */
type Value = string | readonly string[];

interface WireAnswer {
  readonly code: string;
  readonly message: string;
}

/** One short chat with exactly this header. */
async function callWith(wire: Wire, value: Value): Promise<WireAnswer> {
  const key = wire.startsWith("Connect") ? "connect-timeout-ms" : "grpc-timeout";
  const type = { gRPC: "application/grpc", "gRPC-Web": "application/grpc-web+proto" }[wire as string];
  const headers = {
    "content-type": type ?? "application/connect+proto",
    [key]: typeof value === "string" ? value : [...value],
  };
  const isHttp2 = wire === "gRPC" || wire === "Connect on HTTP/2";
  const answer = await (isHttp2 ? postHttp2(headers) : postHttp1(headers));
  return wire.startsWith("Connect") ? readConnect(answer.body) : readGrpc(answer);
}

interface Answered {
  /** Headers and trailers. */
  readonly fields: Record<string, unknown>;
  readonly body: Buffer;
}

const PATH = `/${InferenceService.typeName}/Chat`;

function chatBody(): Buffer {
  const message = toBinary(
    ChatRequestSchema,
    create(ChatRequestSchema, {
      model: MODEL,
      messages: [{ role: "user", content: "hi" }],
      options: { numPredict: 1 },
    }),
  );
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function postHttp1(headers: OutgoingHttpHeaders): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const call = requestHttp1(`http://${router.address}${PATH}`, { method: "POST", agent: false, headers });
    call.on("error", reject);
    call.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ fields: response.headers, body: Buffer.concat(parts) }));
    });
    call.end(chatBody());
  });
}

function postHttp2(headers: OutgoingHttpHeaders): Promise<Answered> {
  return new Promise((resolve) => {
    const session = connect(`http://${router.address}`);
    session.on("error", () => undefined);
    const stream = session.request({ ":method": "POST", ":path": PATH, te: "trailers", ...headers });
    const parts: Buffer[] = [];
    const fields: Record<string, unknown> = {};
    stream.on("error", () => undefined);
    stream.on("response", (received) => Object.assign(fields, received));
    stream.on("trailers", (received) => Object.assign(fields, received));
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("close", () => {
      session.destroy();
      resolve({ fields, body: Buffer.concat(parts) });
    });
    stream.end(chatBody());
  });
}

/** gRPC-Web has its trailers in the body, unless there is nothing else. */
function readGrpc({ fields, body }: Answered): WireAnswer {
  const text = body.toString("latin1");
  const field = (key: string): string => String(fields[key] ?? new RegExp(`${key}: ?([^\\r]*)`).exec(text)?.[1] ?? "");
  return { code: codeName(Number(field("grpc-status"))), message: decodeURIComponent(field("grpc-message")) };
}

/** The last envelope of a Connect stream is its end as JSON. */
function readConnect(body: Buffer): WireAnswer {
  let at = 0;
  while (body[at] === 0) at += 5 + body.readUInt32BE(at + 1);
  const end = JSON.parse(body.subarray(at + 5).toString()) as { error?: { code: string; message?: string } };
  if (end.error === undefined) return { code: "ok", message: "" };
  return { code: end.error.code, message: end.error.message ?? "" };
}

const codeName = (code: number): string =>
  ({ 0: "ok", 3: "invalid_argument", 4: "deadline_exceeded" })[code] ?? `code ${code}`;

const ok = { code: "ok", message: "" };
const passed = {
  code: "deadline_exceeded",
  message: expect.stringMatching(/^The deadline passed as the call came in/),
};
const malformed = (key: string) => ({
  code: "invalid_argument",
  message: expect.stringContaining(`The metadata key ${key} must be `),
});

describe("an odd grpc-timeout", () => {
  beforeAll(() => ollama.setFaults([]));
  test.each<[string, Value, object]>([
    ["far away", "99999999H", ok],
    ["beyond what a timer takes", "720H", ok],
    ["with leading zeros", "00000009S", ok],
    ["in nanoseconds", "99999999u", ok],
    ["with space around it", " 9S ", ok],
    ["0", "0S", passed],
    ["shorter than any answer", "1n", passed],
    ["negative", "-5S", malformed("grpc-timeout")],
    ["with a fraction", "1.5S", malformed("grpc-timeout")],
    ["of 9 digits", "123456789m", malformed("grpc-timeout")],
    ["without a unit", "5000", malformed("grpc-timeout")],
    ["without digits", "S", malformed("grpc-timeout")],
    ["of an unknown unit", "5s", malformed("grpc-timeout")],
    ["with space inside", "5 S", malformed("grpc-timeout")],
    ["empty", "", malformed("grpc-timeout")],
    ["twice", ["5S", "9S"], malformed("grpc-timeout")],
  ])("%s (%j) is answered alike by the relay and by connect", async (_, value, expected) => {
    expect(await callWith("gRPC", value)).toEqual(expected);
    expect(await callWith("gRPC-Web", value)).toEqual(expected);
  });
});

describe("an odd connect-timeout-ms", () => {
  test.each<[string, Value, object]>([
    ["far away", "9999999999", ok],
    ["with leading zeros", "0000009000", ok],
    ["0", "0", passed],
    ["negative", "-1", malformed("connect-timeout-ms")],
    ["with a fraction", "1234.5", malformed("connect-timeout-ms")],
    ["of 11 digits", "12345678901", malformed("connect-timeout-ms")],
    ["not a number", "soon", malformed("connect-timeout-ms")],
    ["empty", "", malformed("connect-timeout-ms")],
    ["twice", ["5000", "9000"], malformed("connect-timeout-ms")],
  ])("%s (%j) is answered alike on HTTP/1.1 and HTTP/2", async (_, value, expected) => {
    expect(await callWith("Connect on HTTP/1.1", value)).toEqual(expected);
    expect(await callWith("Connect on HTTP/2", value)).toEqual(expected);
  });
});
