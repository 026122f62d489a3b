/**
 * Calls that have a socket at Ollama when their caller leaves: from there until Ollama sees its caller go.
 */
import type { RequestPhase, RequestRecord } from "@drover/sim-ollama";
import type { Figure } from "../figure.ts";
import { type Calls, chat, embed, type Protocol, transportTo } from "./callers.ts";
import { figuresOf } from "./rounds.ts";
import { MODEL, type Stage, until, wallNowMs } from "./stage.ts";

const ROUNDS = 150;
const WORDS = "word ".repeat(400);

interface Case {
  readonly name: string;
  readonly path: string;
  readonly phase: RequestPhase;
  readonly calls: Calls;
  /** A long one is read for seconds. No prompt begins as another one, because Ollama need not read that again. */
  readonly prompt: (index: number) => string;
}

const CASES: readonly Case[] = [
  {
    name: "prefill",
    path: "/api/chat",
    phase: "prefill",
    calls: chat,
    prompt: (index) => `${index} ${WORDS}`,
  },
  { name: "mid-stream", path: "/api/chat", phase: "decode", calls: chat, prompt: (index) => `${index}` },
  { name: "Embed", path: "/api/embed", phase: "prefill", calls: embed, prompt: (index) => `${index} ${WORDS}` },
];

const PROTOCOLS: readonly Protocol[] = ["gRPC", "Connect on HTTP/1.1", "Connect on HTTP/2"];

export async function* socketFigures(stage: Stage): AsyncGenerator<Figure> {
  for (const protocol of PROTOCOLS) {
    // On HTTP/2 Connect leaves as gRPC does: one case shows it.
    for (const each of CASES.slice(
      protocol === "Connect on HTTP/2" ? 1 : 0,
      protocol === "Connect on HTTP/2" ? 2 : 3,
    )) {
      const transport = transportTo(stage.router.address, protocol);
      const name = `abort to closed socket, ${each.name}, ${protocol}`;
      yield* await figuresOf(name, ROUNDS, stage.bare, (index) => leave(stage, each, transport, index));
    }
  }
}

async function leave(
  { nodes: { wide } }: Stage,
  { name, path, phase, calls, prompt }: Case,
  transport: ReturnType<typeof transportTo>,
  index: number,
): Promise<number | undefined> {
  const { ollama } = wide;
  ollama.clearRequests();
  const record = (): RequestRecord | undefined => ollama.requests().find((request) => request.path === path);
  const caller = new AbortController();
  calls(transport, { node: wide.name, model: MODEL, prompt: prompt(index) }, caller.signal);
  await until(`${name} is there`, () => record()?.phase === phase);
  const leftAtMs = wallNowMs();
  caller.abort();
  await until(`${name} has ended`, () => record()?.end !== undefined);
  const { startedAtMs = 0, end } = record() ?? {};
  return end?.how === "client-closed" ? startedAtMs + end.afterMs - leftAtMs : undefined;
}
