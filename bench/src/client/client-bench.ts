/**
 * What the client costs an application: the same streams through it and through connect-node's own client, from an agent that
 * costs next to nothing, in one run and in turns.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createDroverClient } from "@drover/client";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { type Figure, median } from "../figure.ts";
import { startProgram } from "../processes.ts";
import { MODEL } from "../relay/frames.ts";

/** Added to the median of a call with one token. */
const CALL_GOAL_MS = 0.2;
const TOKEN_GOAL = 1.3;
const ROUNDS = 9;
const CALLS = 300;
const STREAMS = 5;
const TOKENS = 4_000;

/** Reads a chat of `tokens` tokens to its end and gives the length of its text. */
type Caller = (tokens: number) => Promise<number>;

const messages = [{ role: "user", content: "Say something of some length, please." }];
/** For the benchmark's agent: how many, and as fast as they go. */
const pace = (tokens: number): Record<string, string> => ({ "bench-chunks": String(tokens), "bench-pace-ms": "0" });

export async function* benchClient(): AsyncIterable<Figure> {
  const agent = await startProgram(new URL("../relay/bench-agent.ts", import.meta.url), []);
  const url = `http://${agent.address}`;
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  const ours = createDroverClient({ address: agent.address });
  const overBare = createDroverClient({ transport });
  const callers: Readonly<Record<string, Caller>> = {
    bare: bareCaller(createClient(InferenceService, transport)),
    client: (tokens) => read(ours, tokens),
    "client over a bare transport": (tokens) => read(overBare, tokens),
  };
  try {
    yield* callFigures(await inTurns(callers, medianCallMs));
    yield* tokenFigures(await inTurns(callers, cpuUsPerToken));
  } finally {
    await ours.close();
    sessionManager.abort(new ConnectError("done", Code.Canceled));
    agent.stop();
  }
}

function bareCaller(client: ReturnType<typeof createClient<typeof InferenceService>>): Caller {
  return async (tokens) => {
    let length = 0;
    for await (const { event } of client.chat({ model: MODEL, messages }, { headers: pace(tokens) })) {
      if (event.case === "chunk") length += event.value.message?.content.length ?? 0;
    }
    return length;
  };
}

async function read(client: ReturnType<typeof createDroverClient>, tokens: number): Promise<number> {
  let length = 0;
  for await (const { text } of client.chat({ model: MODEL, messages }, { headers: pace(tokens) }))
    length += text.length;
  return length;
}

/** The median over all rounds of what `measure` gives for each caller. */
async function inTurns(
  callers: Readonly<Record<string, Caller>>,
  measure: (call: Caller) => Promise<number>,
): Promise<ReadonlyMap<string, number>> {
  const samples = new Map(Object.keys(callers).map((name) => [name, [] as number[]]));
  for (let round = -2; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(callers)) {
      const value = await measure(call);
      // The first rounds warm up compilers and connections.
      if (round >= 0) samples.get(name)?.push(value);
    }
  }
  return new Map([...samples].map(([name, values]) => [name, median(values)]));
}

async function medianCallMs(call: Caller): Promise<number> {
  const tookMs: number[] = [];
  for (let calls = 0; calls < CALLS; calls++) {
    const startMs = performance.now();
    await call(1);
    tookMs.push(performance.now() - startMs);
  }
  return median(tookMs);
}

async function cpuUsPerToken(call: Caller): Promise<number> {
  const before = process.cpuUsage();
  for (let streams = 0; streams < STREAMS; streams++) {
    if ((await call(TOKENS)) === 0) throw new Error("no text came");
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (STREAMS * TOKENS);
}

function* callFigures(medians: ReadonlyMap<string, number>): Iterable<Figure> {
  const baseline = medians.get("bare") ?? Number.NaN;
  for (const [name, value] of medians) {
    if (name === "bare") continue;
    const goal = `<= baseline + ${CALL_GOAL_MS} ms`;
    const ok = value <= baseline + CALL_GOAL_MS;
    yield { name: `time of a call with one token, p50, ${name}`, value, unit: "ms", baseline, goal, ok };
  }
}

function* tokenFigures(medians: ReadonlyMap<string, number>): Iterable<Figure> {
  const baseline = medians.get("bare") ?? Number.NaN;
  for (const [name, value] of medians) {
    if (name === "bare") continue;
    const goal = `<= ${TOKEN_GOAL} x baseline`;
    const ok = value <= TOKEN_GOAL * baseline;
    yield { name: `CPU per token, ${name}`, value, unit: "us", baseline, goal, ok };
  }
}
