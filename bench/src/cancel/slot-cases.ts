/**
 * A node with one slot, whose holder leaves: how long until the first token of a short call that waits for the slot. After a
 * cancel in the prefill Ollama 0.24 reads the prompt to its end all the same; how long that is, Ollama says of a prompt of the same
 * length that is not cancelled.
 */
import type { Transport } from "@connectrpc/connect";
import { type Figure, median, quantile } from "../figure.ts";
import { firstToken, transportTo, wholeChat } from "./callers.ts";
import { MODEL, type Node, type Stage, until, wallNowMs } from "./stage.ts";

const ROUNDS = 50;
const PREFILL_ROUNDS = 12;
/** A short prompt. Each is new, so that a free slot remembers as little of it as one in which another prompt ran. */
const short = (): string => `${performance.now()} hello`;
const WORDS = "word ".repeat(250);
/** Calls from which the agent learns how fast its Ollama reads. */
const LESSONS = 5;

export async function* slotFigures(stage: Stage): AsyncGenerator<Figure> {
  const transport = transportTo(stage.router.address, "gRPC");
  const { narrow, newer } = stage.nodes;
  const idle = median(await repeat(ROUNDS, () => idleFirstToken(transport, narrow)));
  yield { name: "first token on a free slot, p50", value: idle, unit: "ms" };
  const decode = await repeat(ROUNDS, async () => (await slotFreed(transport, narrow, "decode", short()))?.ms);
  yield* figures("abort mid-stream to the next first token", decode, idle);
  yield* await prefillFigures(transport, narrow, "0.24", idle);
  yield* await prefillFigures(transport, newer, "0.30", idle);
}

async function prefillFigures(
  transport: Transport,
  node: Node,
  version: string,
  idle: number,
): Promise<readonly Figure[]> {
  let prompts = 0;
  const next = (): string => `${version} ${prompts++} ${WORDS}`;
  const lessons = await repeat(LESSONS, () => wholeChat(transport, { node: node.name, model: MODEL, prompt: next() }));
  const prefillMs = median(lessons);
  const rests: number[] = [];
  const times = await repeat(PREFILL_ROUNDS, async () => {
    const freed = await slotFreed(transport, node, "prefill", next());
    if (freed !== undefined) rests.push(version === "0.24" ? prefillMs - freed.readMs : 0);
    return freed?.ms;
  });
  const later = times.map((ms, index) => ms - (rests[index] ?? 0));
  const name = `abort in prefill to the next first token, Ollama ${version}`;
  return [
    ...figures(name, times, median(rests) + idle),
    ...(version === "0.24" ? figures(`the same, without the rest of the prefill`, later, idle) : []),
  ];
}

/** Each beside what is expected. */
function figures(name: string, times: readonly number[], baseline: number): readonly Figure[] {
  return [
    { name: `${name}, p50`, value: median(times), unit: "ms", baseline },
    { name: `${name}, p99`, value: quantile(times, 0.99), unit: "ms", baseline },
  ];
}

async function idleFirstToken(transport: Transport, node: Node): Promise<number> {
  const caller = new AbortController();
  const startedAtMs = performance.now();
  const tokenAtMs = await firstToken(transport, { node: node.name, model: MODEL, prompt: short() }, caller.signal);
  caller.abort();
  await isFree(node);
  return tokenAtMs - startedAtMs;
}

/** Undefined: the holder had left its phase before it was told to leave. */
async function slotFreed(transport: Transport, node: Node, phase: "prefill" | "decode", prompt: string) {
  node.ollama.clearRequests();
  const [holder, next] = [new AbortController(), new AbortController()];
  const record = () => node.ollama.requests().find(({ path }) => path === "/api/chat");
  void firstToken(transport, { node: node.name, model: MODEL, prompt }, holder.signal);
  await until("the holder has the slot", () => record()?.phase === phase);
  const token = firstToken(transport, { node: node.name, model: MODEL, prompt: short() }, next.signal);
  await until("the next is queued", async () => (await node.load()).queued === 1);
  const [leftAtMs, leftAtWallMs] = [performance.now(), wallNowMs()];
  holder.abort();
  const ms = (await token) - leftAtMs;
  const { startedAtMs = 0, end } = record() ?? {};
  next.abort();
  await isFree(node);
  return end?.phase === phase ? { ms, readMs: leftAtWallMs - startedAtMs } : undefined;
}

async function isFree(node: Node): Promise<void> {
  await until("the slot is free", async () => (await node.load()).active === 0);
}

/** The first warms up; what is undefined is done once more. */
async function repeat(count: number, measure: () => Promise<number | undefined>): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; times.length <= count && index <= 2 * count; index++) {
    const ms = await measure();
    if (ms !== undefined) times.push(ms);
  }
  return times.slice(1);
}
