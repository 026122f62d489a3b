/**
 * How things end, one row for each: what a gRPC caller at the router gets when a node, its Ollama, the request or the fleet is
 * made to fail. The rows are those of the table of endings in docs/operating.md.
 */
import { connect, constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { droverErrorFromConnect, ENDINGS, type EndingKind, reasonOf } from "@drover/platform";
import { EmbedRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import type { Fault } from "@drover/sim-ollama";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { framed, rawCall, rawCallOn } from "../../services/router/test/raw-call.ts";
import { type BreakCall, breakBy } from "../src/agent-front.ts";
import { chatBytes, type Ended, PROMPT, readEnded } from "../src/ended-call.ts";
import {
  type Asked,
  type EndingFleet,
  MODEL,
  SMALL_MODEL,
  type SmallFleet,
  startEndingFleet,
  startSmallFleet,
} from "../src/ending-fleet.ts";

interface Row {
  readonly what: string;
  readonly kind: EndingKind;
  readonly status: number;
  /** Parts of the message: which model, node and attempt, and what to do. */
  readonly says: readonly (string | RegExp)[];
  /** The answer has no `drover-call`: nothing of it is in any log. */
  readonly isUnnamed?: boolean;
  /** Sent; Chat of MODEL by default. */
  readonly method?: string;
  readonly body?: () => Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done to both nodes before. */
  readonly faults?: readonly Fault[];
  readonly breaking?: BreakCall;
  /** Who was asked; nobody by default. */
  readonly asked?: Asked;
  /** `drover-attempts`; undefined where the call never came so far that there is one. */
  readonly attempts?: string | RegExp;
  /** RetryInfo and grpc-retry-pushback-ms, in ms. */
  readonly retryMs?: number;
  /** Messages before the end; none by default, and then the end is one HEADERS frame. */
  readonly messages?: number | "some";
  readonly facts?: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
}

const NODE = /node "[ab]"/;
const both: Asked = { nodes: 2, ollamas: 2 };
const one: Asked = { nodes: 1, ollamas: 1 };
const nobody: Asked = { nodes: 0, ollamas: 0 };
const chat = (request: Parameters<typeof chatBytes>[0]) => () => framed(chatBytes(request));
const tools = [{ function: { name: "clock", parametersJson: '{"type":"object"}' } }];
const hint = 1_000;
const onA = { "drover-node": "a" };
const tooLong = "word ".repeat(9_000);

const REQUEST_ROWS: readonly Row[] = [
  {
    what: "the request is no message of ours",
    kind: "malformed_request",
    status: status.INVALID_ARGUMENT,
    body: () => framed(Buffer.from("\xff\xff\xff", "latin1")),
    says: ["drover.inference.v1.ChatRequest", "does not decode"],
  },
  {
    what: "the request names no model",
    kind: "malformed_request",
    status: status.INVALID_ARGUMENT,
    body: chat({ model: "" }),
    says: ["names no model", "set `model`"],
  },
  {
    what: "the request is over 64 MiB",
    kind: "request_too_large",
    status: status.RESOURCE_EXHAUSTED,
    body: () => framed(Buffer.alloc(64 * 1024 * 1024 + 1)),
    says: ["over 64 MiB", "send smaller or fewer images"],
  },
  {
    what: "the request is over 64 MiB once it is inflated",
    kind: "request_too_large",
    status: status.RESOURCE_EXHAUSTED,
    body: () => framed(gzipSync(Buffer.alloc(64 * 1024 * 1024 + 1)), 1),
    headers: { "grpc-encoding": "gzip" },
    says: ["over 64 MiB"],
  },
  {
    what: "the request is compressed in a way that nobody here knows",
    kind: "encoding_unsupported",
    status: status.UNIMPLEMENTED,
    body: () => framed(Buffer.from("?"), 1),
    headers: { "grpc-encoding": "snappy" },
    says: ['not "snappy"', "gzip or not compressed"],
    trailers: { "grpc-accept-encoding": "identity,gzip" },
  },
  {
    what: "the method does not exist",
    kind: "not_implemented",
    status: status.UNIMPLEMENTED,
    method: "Sing",
    says: ["Sing"],
    isUnnamed: true,
  },
  {
    what: "the model is one of Ollama's cloud",
    kind: "permission_denied",
    status: status.PERMISSION_DENIED,
    body: chat({ model: "gpt-oss:20b-cloud" }),
    says: ["gpt-oss:20b-cloud", "would leave your machines"],
    facts: { model: "gpt-oss:20b-cloud" },
  },
  {
    what: "Ollama refuses the request",
    kind: "request_rejected",
    status: status.INVALID_ARGUMENT,
    body: chat({ model: MODEL, options: { extraOptionsJson: '{"temperature":"hot"}' } }),
    says: ['option "temperature" must be of type', NODE, "attempt 1"],
    asked: one,
    attempts: "1",
  },
  {
    what: "the prompt is longer than the context, and may not be cut",
    kind: "context_exceeded",
    status: status.INVALID_ARGUMENT,
    method: "Embed",
    body: () => embed({ model: "nomic-embed-text", input: [tooLong], truncate: false }),
    says: ["the input length exceeds the context length", NODE],
    asked: one,
    attempts: "1",
  },
  {
    what: "the model cannot do what the request needs",
    kind: "capability_missing",
    status: status.FAILED_PRECONDITION,
    body: chat({ model: "plain", tools }),
    says: ['"plain" does not support tools', "Ask another model"],
    attempts: "0",
  },
];

const OLLAMA_ROWS: readonly Row[] = [
  {
    what: "no Ollama has the model any more",
    kind: "node_lacks_model",
    status: status.NOT_FOUND,
    faults: [{ kind: "status", status: 404, endpoint: "chat" }],
    says: [`"ollama pull ${MODEL}"`, NODE, "attempt 2"],
    asked: both,
    attempts: "2",
  },
  {
    what: "Ollama is busy with loads",
    kind: "ollama_busy",
    status: status.RESOURCE_EXHAUSTED,
    faults: [{ kind: "status", status: 503, endpoint: "chat" }],
    says: ["too many loads", "Try again", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: both,
    attempts: /^[2-4]$/,
  },
  {
    what: "the model cannot be loaded",
    kind: "load_failed",
    status: status.FAILED_PRECONDITION,
    body: chat({ model: "broken:7b" }),
    faults: [{ kind: "load-failure", message: "llama runner process has terminated: exit status 2" }],
    says: ['model "broken:7b" could not be loaded', "log of Ollama", "exit status 2", NODE, "attempt 2"],
    asked: both,
    attempts: "2",
  },
  {
    what: "the model does not fit into the memory",
    kind: "out_of_memory",
    status: status.RESOURCE_EXHAUSTED,
    body: chat({ model: "too-large:70b" }),
    faults: [{ kind: "load-failure" }],
    says: ['model "too-large:70b" does not fit', "Use a smaller model", "9.9 GiB", NODE, "attempt 2"],
    asked: both,
    attempts: "2",
  },
  {
    what: "Ollama denies its own agent",
    kind: "ollama_denied",
    status: status.FAILED_PRECONDITION,
    faults: [{ kind: "status", status: 403, endpoint: "chat" }],
    says: ["denies", "OLLAMA_ORIGINS", NODE, "attempt 2"],
    asked: both,
    attempts: "2",
  },
  {
    what: "Ollama breaks off before the first token",
    kind: "ollama_unreachable",
    status: status.UNAVAILABLE,
    faults: [{ kind: "cut", endpoint: "chat" }],
    says: ["does not answer", "ollama serve", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: both,
    attempts: /^[2-4]$/,
  },
  {
    what: "Ollama answers nothing at all",
    kind: "no_output",
    status: status.UNAVAILABLE,
    faults: [{ kind: "end-without-done", endpoint: "chat" }],
    says: ["without a word", "log", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: both,
    attempts: /^[2-4]$/,
  },
  {
    what: "no first token comes in time",
    kind: "first_token_timeout",
    status: status.UNAVAILABLE,
    faults: [{ kind: "hang", endpoint: "chat" }],
    headers: onA,
    says: ["No token", "within 1.5 s", 'node "a"', "attempt 1"],
    retryMs: hint,
    asked: one,
    attempts: "1",
  },
  {
    what: "the runner crashes, and no other node may be tried",
    kind: "runner_crashed",
    status: status.UNAVAILABLE,
    faults: [{ kind: "runner-crash", endpoint: "chat" }],
    headers: onA,
    says: ["runner", "stopped unexpectedly", 'node "a"', "attempt 1"],
    retryMs: hint,
    asked: one,
    attempts: "1",
  },
  {
    what: "the runners of two nodes crash on one request",
    kind: "poison",
    status: status.FAILED_PRECONDITION,
    faults: [{ kind: "runner-crash", endpoint: "chat" }],
    says: ["crashed on this request on the nodes", '"a"', '"b"', "change the request"],
    asked: both,
    attempts: "2",
  },
  {
    what: "Ollama fails in a way that nobody knows",
    kind: "ollama_failed",
    status: status.UNKNOWN,
    faults: [{ kind: "status", status: 500, message: "strange", endpoint: "chat" }],
    says: ["Ollama: strange", NODE, "attempt 2"],
    asked: both,
    attempts: "2",
  },
  {
    what: "a crash in /api/embed, which Ollama calls the caller's fault",
    kind: "runner_crashed",
    status: status.UNAVAILABLE,
    method: "Embed",
    body: () => embed({ model: "nomic-embed-text", input: ["x"] }),
    faults: [{ kind: "runner-crash", endpoint: "embed" }],
    headers: onA,
    says: ["stopped unexpectedly", 'node "a"', "attempt 1"],
    retryMs: hint,
    asked: one,
    attempts: "1",
  },
];

const COMMITTED_ROWS: readonly Row[] = [
  {
    what: "the connection to Ollama breaks after the first token",
    kind: "stream_broken",
    status: status.UNAVAILABLE,
    faults: [{ kind: "cut", afterChunks: 3, endpoint: "chat" }],
    says: ["connection to Ollama", NODE, "attempt 1"],
    // A reset takes along what Node has not read.
    messages: "some",
    asked: one,
    attempts: "1",
  },
  {
    what: "Ollama tells of an error after the first token",
    kind: "stream_broken",
    status: status.UNAVAILABLE,
    faults: [{ kind: "stream-error", afterChunks: 3, message: "strange", endpoint: "chat" }],
    says: [NODE, "attempt 1"],
    messages: 3,
    asked: one,
    attempts: "1",
  },
  {
    what: "the runner crashes after the first token",
    kind: "runner_crashed",
    status: status.UNAVAILABLE,
    faults: [{ kind: "runner-crash", afterChunks: 3, endpoint: "chat" }],
    says: [NODE, "attempt 1"],
    messages: 3,
    asked: one,
    attempts: "1",
  },
  {
    what: "nothing more comes after the first token",
    kind: "stream_stalled",
    status: status.UNAVAILABLE,
    faults: [{ kind: "hang", afterChunks: 3, endpoint: "chat" }],
    says: ["nothing for 0.7 s", NODE, "attempt 1"],
    messages: 3,
    asked: one,
    attempts: "1",
  },
  {
    what: "the answer ends without `done`",
    kind: "output_incomplete",
    status: status.DATA_LOSS,
    faults: [{ kind: "end-without-done", afterChunks: 3, endpoint: "chat" }],
    says: ["without finishing", NODE, "attempt 1"],
    messages: 3,
    asked: one,
    attempts: "1",
  },
  {
    what: "Ollama's guard ends an answer that repeats one token",
    kind: "token_repeat",
    status: status.DATA_LOSS,
    body: chat({ model: MODEL, options: { numPredict: 60 } }),
    faults: [{ kind: "repeat", endpoint: "chat" }],
    says: ["repeats one token", "Raise repeat_penalty", NODE, "attempt 1"],
    messages: 31,
    asked: one,
    attempts: "1",
  },
];

const FLEET_ROWS: readonly Row[] = [
  {
    what: "no node has the id or name",
    kind: "node_not_found",
    status: status.NOT_FOUND,
    headers: { "drover-node": "z" },
    says: ['"z"', /Known nodes: (a, b|b, a)/],
    facts: { node: "z" },
    attempts: "0",
  },
  {
    what: "the connections to the nodes are lost",
    kind: "node_unreachable",
    status: status.UNAVAILABLE,
    breaking: breakBy.lostConnection,
    says: ["connection to the node was lost", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: { nodes: 2, ollamas: 0 },
    attempts: /^[2-4]$/,
  },
  {
    what: "the nodes take no more streams",
    kind: "stream_refused",
    status: status.UNAVAILABLE,
    breaking: breakBy.refusedStream,
    says: ["took no more streams", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: { nodes: 2, ollamas: 0 },
    attempts: /^[2-4]$/,
  },
  {
    what: "something else answers in the place of the nodes",
    kind: "node_protocol_error",
    status: status.UNAVAILABLE,
    breaking: breakBy.otherProgram,
    says: ["HTTP 502 instead of gRPC", "another program", NODE, /attempt [2-4]/],
    retryMs: hint,
    asked: { nodes: 2, ollamas: 0 },
    attempts: /^[2-4]$/,
  },
  {
    what: "the deadline passes",
    kind: "deadline_exceeded",
    status: status.DEADLINE_EXCEEDED,
    faults: [{ kind: "hang", endpoint: "chat" }],
    headers: { "grpc-timeout": "300m" },
    // The agent's words, or the router's when that one is a little earlier.
    says: ["The deadline passed", NODE, /queue .* load .* prefill|without a node.*no token came/],
    asked: one,
    attempts: "1",
  },
  // The last one: by now the endpoint at which nobody listens was away for long enough.
  {
    what: "no node has the model",
    kind: "model_not_found",
    status: status.NOT_FOUND,
    body: chat({ model: "llama3.3:1b" }),
    says: ['No node has model "llama3.3:1b"', `Nearest: ${MODEL}`, "1 node has never answered"],
    facts: { model: "llama3.3:1b" },
    attempts: "0",
  },
];

/** On a router that is new, with one node and one that has not answered yet. */
const SMALL_ROWS: readonly Row[] = [
  {
    what: "no node is known to have the model, and some have not told yet",
    kind: "fleet_not_ready",
    status: status.UNAVAILABLE,
    body: chat({ model: "nobody-has-this" }),
    headers: { "drover-max-wait-ms": "100" },
    says: ['No node with model "nobody-has-this" is known so far', "1 of 2 nodes have not told"],
    retryMs: hint,
    attempts: "0",
  },
];

/** While its one slot is taken, or its slot and the one place in its queue. */
const FULL_ROWS: readonly (Row & { readonly taken: 1 | 2 })[] = [
  {
    what: "no slot gets free for as long as the caller waits",
    taken: 1,
    kind: "wait_exceeded",
    status: status.RESOURCE_EXHAUSTED,
    body: chat({ model: SMALL_MODEL }),
    headers: { "drover-max-wait-ms": "300" },
    says: [/waited 0\.[23]\d* s/, `model "${SMALL_MODEL}" on node "small"`, "drover-max-wait-ms", "attempt 1"],
    retryMs: hint,
    attempts: "1",
  },
  {
    what: "every queue is full",
    taken: 2,
    kind: "queue_full",
    status: status.RESOURCE_EXHAUSTED,
    body: chat({ model: SMALL_MODEL }),
    says: [`Every queue for model "${SMALL_MODEL}" is full`, "try again later", "add nodes"],
    retryMs: hint,
    attempts: "0",
  },
];

const DRAINED_ROW: Row = {
  what: "no node that has the model takes work",
  kind: "no_node_available",
  status: status.UNAVAILABLE,
  body: chat({ model: SMALL_MODEL }),
  headers: { "drover-max-wait-ms": "100" },
  says: [`No node that has model "${SMALL_MODEL}" takes work now`, "small: draining"],
  retryMs: hint,
  attempts: "0",
};

/** A router does not send there any more; a caller at the agent does. */
const DRAINING_ROW: Row = {
  what: "the node drains",
  kind: "node_draining",
  status: status.UNAVAILABLE,
  body: chat({ model: SMALL_MODEL }),
  says: ['Node "small" drains', "Use another node, or resume it"],
  retryMs: 5_000,
};

/** What cannot be had here, with the place that shows it. */
const SHOWN_ELSEWHERE: Partial<Record<EndingKind, string>> = {
  cancelled: "nobody is left to read it: see the caller that leaves, above",
  caller_stalled: "takes 30 s: services/routing/src/dispatch/call-backpressure.test.ts",
  overloaded: "takes 512 MiB of requests: services/router/src/relay/read-request.test.ts",
  router_stopping: "ends a fleet: services/router/src/build-router.test.ts",
  node_name_ambiguous: "needs two agents of one name: e2e/system/router.test.ts",
  internal: "is a bug of ours, and none is known: services/routing/src/dispatch/call-faults.test.ts",
};

let fleet: EndingFleet;
beforeAll(async () => {
  fleet = await startEndingFleet();
});
afterAll(() => fleet?.close());

describe.each([
  ["the request is at fault", REQUEST_ROWS],
  ["a node's Ollama is at fault", OLLAMA_ROWS],
  ["it breaks after the first token", COMMITTED_ROWS],
  ["the fleet is at fault, or time", FLEET_ROWS],
])("%s", (_, rows) => {
  afterEach(() => fleet.heal());

  it.each(rows.map((row): [string, Row] => [row.what, row]))("%s", async (_what, row) => {
    const { ended, asked } = await provoke(row);
    checkWords(ended, row);
    checkFrames(ended, row);
    checkTrailers(ended, row);
    expect(asked).toEqual(row.asked ?? nobody);
  });
});

describe("a fleet that is small, new or away", () => {
  let small: SmallFleet;
  beforeAll(async () => {
    small = await startSmallFleet();
  });
  afterAll(() => small?.close());

  async function check(row: Row, address = small.router.address): Promise<void> {
    const ended = await send(row, address);
    checkWords(ended, row);
    checkFrames(ended, row);
    checkTrailers(ended, row);
  }

  it.each(SMALL_ROWS.map((row): [string, Row] => [row.what, row]))("%s", async (_what, row) => {
    await check(row);
  });

  it.each(FULL_ROWS.map((row): [string, (typeof FULL_ROWS)[number]] => [row.what, row]))("%s", async (_what, row) => {
    await small.fill(row.taken);
    await check(row).finally(small.empty);
  });

  it("every node that has the model drains", async () => {
    await small.drain();
    await check(DRAINED_ROW);
    await check(DRAINING_ROW, small.agent.address);
  });
});

describe("a caller that leaves", () => {
  afterEach(() => fleet.heal());

  it("has its call ended as CANCELLED and Ollama's socket closed", async () => {
    fleet.setFaults([{ kind: "hang", endpoint: "chat" }]);
    const session = connect(`http://${fleet.router.address}`);
    const request = { method: "Chat", body: chat({ model: MODEL })(), headers: onA };
    let leave = (): void => undefined;
    const [nodeA] = fleet.nodes;
    nodeA.ollama.clearRequests();
    const left = rawCallOn(session, {
      ...request,
      onOpen: (stream) => {
        leave = () => stream.close(constants.NGHTTP2_CANCEL);
      },
    });
    const asked = () => nodeA.ollama.requests().find(({ path }) => path === "/api/chat");
    await vi.waitUntil(() => asked() !== undefined, { timeout: 5_000 });
    leave();
    await left;
    session.destroy();
    await vi.waitUntil(() => asked()?.end !== undefined, { timeout: 5_000 });
    expect(asked()?.end?.how).toBe("client-closed");
    // Nobody reads an answer any more; the log tells what became of the call.
    const line = '"status":"CANCELLED","reason":"CANCELLED"';
    await vi.waitUntil(() => fleet.router.log().includes(line), { timeout: 5_000 });
  });
});

describe("through Connect", () => {
  afterEach(() => fleet.heal());
  const json = { "content-type": "application/json" };

  it("a unary call that is refused has the same code and details as JSON", async () => {
    const answer = await fetch(`http://${fleet.router.address}/${InferenceService.typeName}/Embed`, {
      method: "POST",
      headers: json,
      body: JSON.stringify({ model: "nomic-embed-text", input: [tooLong], truncate: false }),
    });
    const { code, message, details } = (await answer.json()) as ConnectFailure;
    expect([answer.status, code, message]).toEqual([
      400,
      "invalid_argument",
      expect.stringContaining("context length"),
    ]);
    const info = details.find(({ type }) => type === "google.rpc.ErrorInfo");
    const { reason, domain, metadata } = fromBinary(ErrorInfoSchema, Buffer.from(info?.value ?? "", "base64"));
    expect([reason, domain, metadata["attempt"]]).toEqual(["CONTEXT_EXCEEDED", "drover", "1"]);
    expect(answer.headers.get("trailer-drover-attempts")).toBe("1");
  });

  it.each<[EndingKind, Fault, Code]>([
    ["ollama_busy", { kind: "status", status: 503, endpoint: "chat" }, Code.ResourceExhausted],
    ["poison", { kind: "runner-crash", endpoint: "chat" }, Code.FailedPrecondition],
    ["output_incomplete", { kind: "end-without-done", afterChunks: 3, endpoint: "chat" }, Code.DataLoss],
    ["ollama_failed", { kind: "status", status: 500, message: "strange", endpoint: "chat" }, Code.Unknown],
  ])("a stream ends as %s with the same code and details", async (kind, fault, code) => {
    fleet.setFaults([fault]);
    const transport = createConnectTransport({ baseUrl: `http://${fleet.router.address}`, httpVersion: "1.1" });
    const { chat: streamChat } = createClient(InferenceService, transport);
    const request = { model: MODEL, messages: [{ role: "user", content: PROMPT }] };
    const error = await drain(streamChat(request)).then(
      () => expect.unreachable("it ended well"),
      (failure: unknown) => ConnectError.from(failure),
    );
    const told = droverErrorFromConnect(error);
    expect([error.code, told?.kind, told?.facts["model"]]).toEqual([code, kind, MODEL]);
    expect(told?.retryAfterMs).toBe(kind === "ollama_busy" ? hint : undefined);
    // Once as a header and once as a trailer; connect's client puts both together.
    expect(error.metadata.get("drover-call")).toMatch(/^([0-9a-f-]{36}), \1$/);
    expect([...error.metadata.values()]).not.toContain("undefined");
  });
});

describe("the logs", () => {
  afterEach(() => fleet.heal());

  it("hold a line of each call with its status by name, and nothing of what callers said, even where Ollama quotes it", async () => {
    const call = async () => readEnded(await rawCall(fleet.router.address, "Chat", chat({ model: MODEL })()));
    for (const code of [400, 500]) {
      fleet.setFaults([{ kind: "status", status: code, message: `invalid format: ${PROMPT}`, endpoint: "chat" }]);
      expect((await call()).message).toContain(PROMPT);
    }
    fleet.setFaults([{ kind: "stream-error", afterChunks: 1, message: `unexpected: ${PROMPT}`, endpoint: "chat" }]);
    expect((await call()).status).not.toBe(status.OK);
    const logs = [fleet.router, ...fleet.nodes.map(({ agent }) => agent)].map(({ log }) => log);
    for (const log of logs) {
      const lines = log()
        .split("\n")
        .filter((line) => line.includes('"msg":"call"'));
      expect(lines.length).toBeGreaterThan(20);
      for (const line of lines) expect(line).toMatch(/"call":"[0-9a-f-]{36}".*"totalMs":\d+,"status":"[A-Z_]+"/);
      expect(log()).not.toContain(PROMPT);
      expect(log()).not.toContain("xyzzy");
    }
  });
});

describe("the rows", () => {
  it("are all the kinds of ending, but for those that are shown elsewhere", () => {
    const rows = [...REQUEST_ROWS, ...OLLAMA_ROWS, ...COMMITTED_ROWS, ...FLEET_ROWS, ...SMALL_ROWS, ...FULL_ROWS];
    const shown = new Set([...rows, DRAINED_ROW, DRAINING_ROW].map(({ kind }) => kind));
    const missing = Object.keys(ENDINGS).filter((kind) => !shown.has(kind as EndingKind));
    expect(missing.sort()).toEqual(Object.keys(SHOWN_ELSEWHERE).sort());
  });
});

async function drain(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}

interface ConnectFailure {
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly type: string; readonly value: string }[];
}

async function send(row: Row, address: string): Promise<Ended> {
  const body = (row.body ?? chat({ model: MODEL }))();
  return readEnded(await rawCall(address, row.method ?? "Chat", body, { "drover-progress": "off", ...row.headers }));
}

function provoke(row: Row): Promise<{ ended: Ended; asked: Asked }> {
  fleet.setFaults(row.faults ?? []);
  fleet.breakCalls(row.breaking);
  return fleet.counting(async () => ({ ended: await send(row, fleet.router.address) }));
}

function checkWords(ended: Ended, row: Row): void {
  expect([ended.status, ended.reason, ended.domain]).toEqual([row.status, reasonOf(row.kind), "drover"]);
  expect(row.status).toBe(ENDINGS[row.kind].code);
  for (const part of row.says) {
    expect(ended.message).toEqual(part instanceof RegExp ? expect.stringMatching(part) : expect.stringContaining(part));
  }
  expect(ended.message).not.toMatch(/127\.0\.0\.1/);
  expect(ended.facts).toMatchObject(row.facts ?? {});
  expect([ended.retryDelayMs, ended.pushbackMs]).toEqual([row.retryMs, row.retryMs]);
}

function checkFrames({ messages, isTrailersOnly, message, facts }: Ended, row: Row): void {
  if (row.messages === undefined) return expect([messages, isTrailersOnly]).toEqual([0, true]);
  if (row.messages !== "some") expect(messages).toBe(row.messages);
  // What the caller is told is what it got.
  expect(message).toContain(`The answer broke off after ${messages} message`);
  expect([isTrailersOnly, facts["messages"]]).toEqual([false, String(messages)]);
}

function checkTrailers({ trailers }: Ended, row: Row): void {
  if (row.isUnnamed !== true) expect(trailers["drover-call"]).toMatch(/^[0-9a-f-]{36}$/);
  expect(trailers).toMatchObject(row.trailers ?? {});
  if (row.attempts === undefined) return;
  expect(trailers["drover-attempts"]).toMatch(row.attempts instanceof RegExp ? row.attempts : `${row.attempts}`);
  expect(trailers["drover-queue-ms"]).toMatch(/^\d+$/);
  if (row.attempts !== "0") expect(trailers["drover-node"]).toMatch(/^(a|b|small)$/);
  if ((row.asked?.ollamas ?? 0) > 0 && row.kind !== "deadline_exceeded") {
    expect(trailers["drover-load-ms"]).toMatch(/^\d+$/);
  }
  expect(trailers["drover-ttft-ms"]).toEqual(row.messages === undefined ? undefined : expect.stringMatching(/^\d+$/));
}

function embed(request: { model: string; input: string[]; truncate?: boolean }): Uint8Array {
  return framed(toBinary(EmbedRequestSchema, create(EmbedRequestSchema, request)));
}
