/**
 * What callers leave here: a router and its nodes, each a process, beside simulated Ollamas in this process, so that both ends of
 * a cancellation are on one clock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { systemClock } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import type { NodeLoad } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { type Program, startProgram } from "../processes.ts";
import { BareChain } from "./bare-chain.ts";
import { CallLog } from "./call-log.ts";

export const MODEL = "bench-embed";
/** Slots for every round of every case, so that a slot that still cools holds nobody up. */
const SLOTS = 1_000;
/** Tokens per second: a prompt of some 400 words is read for seconds. */
const PREFILL_SPEED = 100;
/** Where one prompt after the other is read to its end. */
const NARROW_PREFILL_SPEED = 1_000;
const LOAD_SECONDS = 0.1;
/** Each is loaded once. */
export const COLD_MODELS = Array.from({ length: 64 }, (_, index) => `cold-${index}`);
/** What has not happened by then never will. */
const PATIENCE_MS = 10_000;

export interface Node {
  readonly name: string;
  readonly ollama: SimOllama;
  readonly log: CallLog;
  load(): Promise<NodeLoad>;
}

export interface Stage {
  readonly bare: BareChain;
  readonly router: { readonly address: string; readonly log: CallLog };
  /** With a slot for every round; with one slot, on Ollama 0.24 and on 0.30; without an Ollama. */
  readonly nodes: Readonly<Record<"wide" | "narrow" | "newer" | "away", Node>>;
  close(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const programs = new Programs();
  // Wall time with a fraction: what a record says of a request's start is then on the clock of this process.
  const clock = { ...systemClock, wallMs: wallNowMs };
  const sim = { models: [MODEL, ...COLD_MODELS], maxLoadedModels: 100, loadSeconds: LOAD_SECONDS, answerTokens: 2_000 };
  const narrow = { ...sim, clock, slots: 1, prefillSpeed: NARROW_PREFILL_SPEED };
  const ollamas = {
    wide: await createSimOllama({ ...sim, clock, slots: SLOTS, prefillSpeed: PREFILL_SPEED }),
    narrow: await createSimOllama(narrow),
    newer: await createSimOllama({ ...narrow, version: "0.30.0", doesPrefillOutliveCancel: false }),
    // An address at which nothing listens any more.
    away: await createSimOllama(sim),
  };
  await ollamas.away.close();
  const start = (name: keyof typeof ollamas, slots: number) => programs.agent(name, ollamas[name], slots);
  const [wide, first, second, away] = await Promise.all([
    start("wide", SLOTS),
    start("narrow", 1),
    start("newer", 1),
    start("away", 1),
  ]);
  const nodes = { wide: wide.node, narrow: first.node, newer: second.node, away: away.node };
  const router = await programs.router([wide, first, second, away].map(({ address }) => address));
  const bare = await BareChain.start();
  const close = async (): Promise<void> => {
    bare.stop();
    programs.stop();
    await Promise.all([ollamas.wide, ollamas.narrow, ollamas.newer].map((ollama) => ollama.close()));
  };
  return { bare, router, nodes, close };
}

class Programs {
  readonly #stateDir = mkdtempSync(join(tmpdir(), "drover-bench-"));
  readonly #programs: Program[] = [];

  async agent(name: string, ollama: SimOllama, slots: number): Promise<{ node: Node; address: string }> {
    const log = new CallLog();
    const flags = ["--name", name, "--ollama", ollama.url, "--slots", String(slots)];
    const { address } = await this.#start("agent", name, flags, log);
    const status = createClient(AgentService, createGrpcTransport({ baseUrl: `http://${address}` }));
    const load = async (): Promise<NodeLoad> => {
      const { load: told } = await status.getStatus({});
      if (told === undefined) throw new Error(`node ${name} says nothing of its load`);
      return told;
    };
    return { node: { name, ollama, log, load }, address };
  }

  /** Resolves when it knows the models of all nodes that have an Ollama. */
  async router(nodes: readonly string[]): Promise<Stage["router"]> {
    const log = new CallLog();
    const { address } = await this.#start("router", "router", ["--nodes", nodes.join(",")], log);
    const fleet = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${address}` }));
    await until("the nodes are ready", async () => {
      const { nodes: known } = await fleet.listNodes({});
      return known.filter(({ inventory }) => (inventory?.models.length ?? 0) > 0).length === nodes.length - 1;
    });
    return { address, log };
  }

  stop(): void {
    for (const program of this.#programs.reverse()) program.stop();
    rmSync(this.#stateDir, { recursive: true, force: true });
  }

  async #start(program: string, name: string, flags: readonly string[], log: CallLog): Promise<Program> {
    const launcher = new URL(`../../../services/${program}/bin/drover-${program}.js`, import.meta.url);
    const ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    const started = await startProgram(launcher, [...ports, "--state-dir", join(this.#stateDir, name), ...flags], {
      onLog: log.write,
    });
    this.#programs.push(started);
    return started;
  }
}

/** Looks every millisecond. */
export async function until(name: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not within ${PATIENCE_MS} ms: ${name}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The wall clock as this process reads it, with a fraction. */
export function wallNowMs(): number {
  return performance.timeOrigin + performance.now();
}
