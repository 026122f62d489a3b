import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http2, { type ClientHttp2Session, constants } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { RelayHandler } from "@drover/platform";
import { ChatRequestSchema, ChatResponseSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { framed } from "../../services/router/test/raw-call.ts";
import { type FakeAgent, startFakeAgent } from "../../services/routing/src/testing/fake-agent.ts";

const MODEL = "llama3.2:1b";
const CALLS = 100_000;
/** By then everything is compiled, and the tables of Node and of the router have their size. */
const WARM_CALLS = 20_000;
const ROUND_CALLS = 10_000;
const AT_ONCE = 100;
const CONNECTIONS = 4;
/** Metadata: how the agent shall answer. */
const ANSWER_KEY = "test-answer";

type Answer = "whole" | "endless" | "silent";

const REQUEST = framed(
  toBinary(
    ChatRequestSchema,
    create(ChatRequestSchema, { model: MODEL, messages: [{ role: "user", content: "Tell me something." }] }),
  ),
);
const CHUNK = response({ event: { case: "chunk", value: { message: { role: "assistant", content: " token" } } } });
const DONE = response({ event: { case: "done", value: { completion: { doneReason: "stop" } } } });

function response(init: MessageInitShape<typeof ChatResponseSchema>): Buffer {
  return framed(toBinary(ChatResponseSchema, create(ChatResponseSchema, init)));
}

/** "silent" and "endless" wait for the caller to leave, before or after a token. */
const answer: RelayHandler = (stream, headers) => {
  stream.resume();
  if (headers[ANSWER_KEY] === "silent") return;
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.write(CHUNK);
  if (headers[ANSWER_KEY] === "whole") stream.end(DONE);
};

let agent: FakeAgent;
let router: ChildProcess;
let address: string;
const stateDir = mkdtempSync(join(tmpdir(), "drover-router-"));

beforeAll(async () => {
  agent = await startFakeAgent({
    id: "one",
    queueLimit: 0,
    // On a quiet machine callers leave 1,800 calls a second here, more than an agent takes of one router.
    limits: { streamResetBurst: 100_000, streamResetRate: 100_000 },
    relay: (headers) => (String(headers[":path"]).endsWith("/Chat") ? answer : undefined),
  });
  const flags = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", stateDir];
  router = fork(
    fileURLToPath(new URL("../src/router-with-gc.ts", import.meta.url)),
    [...flags, "--nodes", agent.address],
    { execArgv: ["--expose-gc"] },
  );
  address = (await told<{ address: string }>()).address;
});

afterAll(() => {
  router.kill("SIGKILL");
  agent.kill();
  rmSync(stateDir, { recursive: true, force: true });
});

function told<T>(): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the router ended with ${code}`));
    router.once("exit", onExit);
    router.once("message", (message) => {
      router.off("exit", onExit);
      resolve(message as T);
    });
  });
}

/** Bytes in use by the router after a collection. */
async function heapBytes(): Promise<number> {
  const report = told<{ heapUsed: number }>();
  router.send("collect");
  return (await report).heapUsed;
}

/** One call in five is left by its caller: half of those before the first token, half after it. */
function answerOf(call: number): Answer {
  if (call % 10 === 3) return "silent";
  return call % 10 === 7 ? "endless" : "whole";
}

/** Whether the call went as it had to. */
function oneCall(session: ClientHttp2Session, kind: Answer): Promise<boolean> {
  return new Promise((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/drover.inference.v1.InferenceService/Chat",
      "content-type": "application/grpc",
      te: "trailers",
      [ANSWER_KEY]: kind,
    });
    let status: unknown;
    stream.on("error", () => undefined);
    stream.on("data", () => {
      if (kind === "endless") stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("close", () => resolve(kind === "whole" ? status === "0" : status === undefined));
    stream.end(REQUEST);
    if (kind === "silent") setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), 5);
  });
}

/** Calls `from` up to, not including, `to`; answers how many went wrong. */
async function makeCalls(from: number, to: number): Promise<number> {
  const sessions = Array.from({ length: CONNECTIONS }, () => http2.connect(`http://${address}`));
  let next = from;
  let wrong = 0;
  const caller = async (session: ClientHttp2Session): Promise<void> => {
    while (next < to) if (!(await oneCall(session, answerOf(next++)))) wrong++;
  };
  const callers = Array.from({ length: AT_ONCE }, (_, index) => sessions[index % CONNECTIONS]);
  await Promise.all(callers.map((session) => session && caller(session)));
  for (const session of sessions) session.destroy();
  return wrong;
}

describe("the router's memory", () => {
  it("stays the same over 100,000 calls, one in five of them left by its caller", { timeout: 600_000 }, async () => {
    const heaps: number[] = [];
    for (let made = 0; made < CALLS; made += ROUND_CALLS) {
      expect(await makeCalls(made, made + ROUND_CALLS)).toBe(0);
      if (made + ROUND_CALLS >= WARM_CALLS) heaps.push(await heapBytes());
    }
    // Against the least and not the first: V8 gives start-up code back at a time of its own choice, which would hide a leak.
    expect(heaps.at(-1), heaps.join(", ")).toBeLessThan(Math.min(...heaps) * 1.05);
  });
});
