/**
 * Calls that have no socket at Ollama when their caller leaves: from there until their place is free, at the router, in an agent's
 * queue, or among those who wait for a load. The load itself belongs to the agent: nobody's leaving breaks it off.
 */
import type { Transport } from "@connectrpc/connect";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import type { Figure } from "../figure.ts";
import type { CallLog } from "./call-log.ts";
import { chat, firstToken, type Protocol, transportTo } from "./callers.ts";
import { figuresOf } from "./rounds.ts";
import { COLD_MODELS, MODEL, type Stage, until } from "./stage.ts";

const ROUNDS = 120;
/** Each takes a load. Of so few the p99 is the slowest. */
const LOAD_ROUNDS = 30;
/** A router tells nobody of its waiting calls while they wait; its log says afterwards whether this one was among them. */
const ARRIVAL_MS = 10;

const PROTOCOLS: readonly Protocol[] = ["gRPC", "Connect on HTTP/1.1"];

export async function* placeFigures(stage: Stage): AsyncGenerator<Figure> {
  for (const protocol of PROTOCOLS) {
    const transport = transportTo(stage.router.address, protocol);
    const figures = (where: string, rounds: number, round: (index: number) => Promise<number | undefined>) =>
      figuresOf(`abort to free place, ${where}, ${protocol}`, rounds, stage.bare, round);
    yield* await figures("at the router", ROUNDS, () => leaveRouter(stage, transport));
    const holder = new AbortController();
    await firstToken(transport, { node: "narrow", model: MODEL, prompt: "hello" }, holder.signal);
    yield* await figures("in the agent's queue", ROUNDS, () => leaveQueue(stage, transport));
    holder.abort();
  }
  const loads = new Loads(stage);
  for (const protocol of PROTOCOLS) {
    const transport = transportTo(stage.router.address, protocol);
    const name = `abort to free place, during a load, ${protocol}`;
    yield* await figuresOf(name, LOAD_ROUNDS, stage.bare, () => loads.leave(transport));
  }
  const { count, kept } = loads;
  yield {
    name: "loads that went on to the end, model in memory",
    value: kept,
    unit: `of ${count}`,
    goal: "all",
    ok: kept === count,
  };
}

async function leaveRouter(
  { router: { log }, nodes: { away } }: Stage,
  transport: Transport,
): Promise<number | undefined> {
  const caller = new AbortController();
  log.forget();
  chat(transport, { node: away.name, model: MODEL, prompt: "hello" }, caller.signal);
  await new Promise((resolve) => setTimeout(resolve, ARRIVAL_MS));
  const { ms, line } = await leaves(caller, log);
  return line.attempts === 0 && (line.waitedMs ?? 0) > 0 ? ms : undefined;
}

async function leaveQueue({ nodes: { narrow } }: Stage, transport: Transport): Promise<number> {
  const caller = new AbortController();
  narrow.log.forget();
  chat(transport, { node: narrow.name, model: MODEL, prompt: "hello" }, caller.signal);
  await until("a call is queued", async () => (await narrow.load()).queued === 1);
  const { ms } = await leaves(caller, narrow.log);
  const { queued, active } = await narrow.load();
  if (queued !== 0 || active !== 1) throw new Error(`the log tells an end, and ${queued} are queued and ${active} run`);
  return ms;
}

class Loads {
  readonly #stage: Stage;
  count = 0;
  kept = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async leave(transport: Transport): Promise<number | undefined> {
    const { wide } = this.#stage.nodes;
    const model = COLD_MODELS[this.count++] ?? "";
    const load = () =>
      wide.ollama.requests().find(({ path, phase }) => path === "/api/generate" && phase === "loading");
    const caller = new AbortController();
    wide.ollama.clearRequests();
    wide.log.forget();
    chat(transport, { node: wide.name, model, prompt: "hello" }, caller.signal);
    await until(`${model} is loaded for a call`, async () => load() !== undefined && (await wide.load()).queued === 1);
    const { ms } = await leaves(caller, wide.log);
    const record = load();
    const isLoading = record !== undefined && record.end === undefined;
    const { queued } = await wide.load();
    await until(`the load of ${model} ended`, () =>
      wide.ollama.requests().some(({ path, end }) => path === "/api/generate" && end !== undefined),
    );
    const isWhole = wide.ollama
      .requests()
      .every(({ path, end }) => path !== "/api/generate" || end?.how === "completed");
    await until(`the agent tells of ${model}`, async () => (await stateOf(wide, model)) !== RunnerState.LOADING);
    if (isWhole && (await stateOf(wide, model)) === RunnerState.LOADED) this.kept++;
    return isLoading && queued === 0 ? ms : undefined;
  }
}

async function stateOf({ load }: Stage["nodes"]["wide"], model: string): Promise<RunnerState | undefined> {
  return (await load()).runners.find((runner) => runner.model === `${model}:latest`)?.state;
}

/** The line tells whole milliseconds, cut off: with one more it is never too early. */
async function leaves(caller: AbortController, log: CallLog) {
  const leftAtMs = Date.now();
  caller.abort();
  const line = await log.cancelled();
  return { ms: line.time + 1 - leftAtMs, line };
}
