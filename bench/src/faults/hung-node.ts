/**
 * One of two nodes hangs: how long the callers that it has taken wait for their whole answer, which the other node could give at once.
 * Once its Ollama takes requests and says nothing, once the whole machine stands still.
 */
import { createSimOllama } from "@drover/sim-ollama";
import type { Figure } from "../figure.ts";
import { type Chat, chatAt, MODEL, reportErrors } from "./chat.ts";
import { Fleet } from "./fleet.ts";

/** The first one hangs. */
const NODES = ["node-0", "node-1"];
const SLOTS = 4;
/** As many as one node has slots: they are spread over both, and the free one could take all. */
const CALLS = 4;
/** A call that has no answer by then counts as this long. */
const PATIENCE_MS = 40_000;
const GOAL_MS = 10_000;

interface Pair {
  readonly chat: Chat;
  /** Its Ollama takes requests and never answers. */
  readonly hangOllama: () => void;
  /** Its agent stands still with all its sockets open, as when the machine swaps or loses its network. */
  readonly hangAgent: () => void;
}

export async function hungNodeFigures(): Promise<readonly Figure[]> {
  return [
    await figureOf("a node's Ollama hangs, another is free: answered", ({ hangOllama }) => hangOllama()),
    await figureOf("a node's machine hangs, another is free: answered", ({ hangAgent }) => hangAgent()),
  ];
}

async function figureOf(name: string, hang: (pair: Pair) => void): Promise<Figure> {
  const seconds = await withPair(async (pair) => {
    // Both get the model into memory, or one would get all calls, and learn how fast they are.
    for (const node of NODES) for (let call = 0; call < 5; call++) await pair.chat(PATIENCE_MS, node);
    hang(pair);
    const outcomes = await Promise.all(Array.from({ length: CALLS }, () => pair.chat(PATIENCE_MS)));
    reportErrors(outcomes);
    return Math.max(...outcomes.map(({ error, tookMs }) => (error === undefined ? tookMs : PATIENCE_MS))) / 1_000;
  });
  return { name, value: seconds, unit: "s after", goal: `<= ${GOAL_MS / 1_000} s`, ok: seconds * 1_000 <= GOAL_MS };
}

async function withPair<Result>(run: (pair: Pair) => Promise<Result>): Promise<Result> {
  const fleet = new Fleet();
  const options = { models: [MODEL], slots: SLOTS, answerTokens: 10, loadSeconds: 0.1 };
  const ollamas = await Promise.all([createSimOllama(options), createSimOllama(options)]);
  try {
    const agents = await Promise.all(
      ollamas.map(({ address }, index) => fleet.startAgent(NODES[index] ?? "", address, SLOTS)),
    );
    const router = await fleet.startRouter(agents.map(({ address }) => address));
    return await run({
      chat: chatAt(router.address),
      hangOllama: () => ollamas[0]?.setFaults([{ kind: "hang", endpoint: "chat" }]),
      hangAgent: () => void process.kill(agents[0]?.pid ?? 0, "SIGSTOP"),
    });
  } finally {
    fleet.stop();
    await Promise.all(ollamas.map((ollama) => ollama.close()));
  }
}
