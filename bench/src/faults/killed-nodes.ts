/**
 * One of five nodes is killed every 10 s while callers make 100 calls a second: its agent and its Ollama in turn, both back after 3 s.
 * A caller whose stream had not begun must not notice.
 */
import type { Figure } from "../figure.ts";
import type { Program } from "../processes.ts";
import { type ChatOutcome, chatAt, MODEL, reportErrors } from "./chat.ts";
import { Fleet } from "./fleet.ts";

const NODES = 5;
const SLOTS = 8;
const CALLS_PER_SECOND = 100;
const CONNECTIONS = 10;
const RUN_SECONDS = 60;
const KILL_EVERY_MS = 10_000;
const FIRST_KILL_MS = 5_000;
const AWAY_MS = 3_000;
const CALL_TIMEOUT_MS = 30_000;
/** With calls that begin later than this it is the machine that is measured. */
const LATE_MS = 500;
/** A call takes 0.2 s, so that half of the slots are busy. */
const OLLAMA = ["--models", MODEL, "--slots", String(SLOTS), "--speed", "25", "--answer-tokens", "5"];

interface Node {
  readonly name: string;
  ollama: Program;
  agent: Program;
}

export async function killedNodeFigures(): Promise<readonly Figure[]> {
  const fleet = new Fleet();
  try {
    const nodes: Node[] = [];
    for (let index = 0; index < NODES; index++) nodes.push(await startNode(fleet, `node-${index}`));
    const router = await fleet.startRouter(nodes.map(({ agent }) => agent.address));
    // Every node has the model in memory when the calls begin.
    const chat = chatAt(router.address);
    await Promise.all(nodes.map(({ name }) => chat(CALL_TIMEOUT_MS, name)));
    const killing = killInTurns(fleet, nodes);
    const outcomes = await callSteadily(router.address);
    await killing;
    return figuresOf(outcomes);
  } finally {
    fleet.stop();
  }
}

async function startNode(fleet: Fleet, name: string): Promise<Node> {
  const ollama = await fleet.startOllama(OLLAMA);
  return { name, ollama, agent: await fleet.startAgent(name, ollama.address, SLOTS) };
}

async function killInTurns(fleet: Fleet, nodes: readonly Node[]): Promise<void> {
  await sleep(FIRST_KILL_MS);
  for (let kill = 0; kill * KILL_EVERY_MS + FIRST_KILL_MS < RUN_SECONDS * 1_000; kill++) {
    const node = nodes[kill % nodes.length];
    if (node === undefined) return;
    const begin = performance.now();
    await (kill % 2 === 0 ? killAgent(fleet, node) : killOllama(fleet, node));
    await sleep(begin + KILL_EVERY_MS - performance.now());
  }
}

async function killAgent(fleet: Fleet, node: Node): Promise<void> {
  node.agent.stop();
  await sleep(AWAY_MS);
  node.agent = await fleet.startAgent(node.name, node.ollama.address, SLOTS, node.agent.address);
}

async function killOllama(fleet: Fleet, node: Node): Promise<void> {
  node.ollama.stop();
  await sleep(AWAY_MS);
  node.ollama = await fleet.startOllama(OLLAMA, node.ollama.address);
}

/** Begins calls at their times whether or not earlier ones have ended, as many independent callers do. */
async function callSteadily(address: string): Promise<readonly ChatOutcome[]> {
  const chats = Array.from({ length: CONNECTIONS }, () => chatAt(address));
  const begin = performance.now();
  const calls: Promise<ChatOutcome>[] = [];
  let latestMs = 0;
  for (let call = 0; call < RUN_SECONDS * CALLS_PER_SECOND; call++) {
    const dueMs = begin + (call * 1_000) / CALLS_PER_SECOND;
    await sleep(dueMs - performance.now());
    latestMs = Math.max(latestMs, performance.now() - dueMs);
    const chat = chats[call % CONNECTIONS];
    if (chat !== undefined) calls.push(chat(CALL_TIMEOUT_MS));
  }
  if (latestMs > LATE_MS) {
    process.stderr.write(
      `  this machine is too busy for the next two figures: a call began ${Math.round(latestMs)} ms late\n`,
    );
  }
  return Promise.all(calls);
}

function figuresOf(outcomes: readonly ChatOutcome[]): readonly Figure[] {
  reportErrors(outcomes);
  const failed = outcomes.filter(({ error }) => error !== undefined);
  const unbegun = failed.filter(({ hasBegun }) => !hasBegun).length;
  const unit = `of ${outcomes.length} calls`;
  return [
    { name: "a node killed every 10 s: failed before a token", value: unbegun, unit, goal: "0", ok: unbegun === 0 },
    { name: "  broken off after one, and told so", value: failed.length - unbegun, unit },
  ];
}

async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
