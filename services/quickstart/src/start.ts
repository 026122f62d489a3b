/**
 * What `npm start` does, from the first look at Ollama to the line that says it serves. The one file that knows the order; each
 * step has a file of its own.
 */
import type { Clock, Lifecycle, ReadyFacts } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { howItEnded } from "./child-program.ts";
import { ChildPrograms, type LostProgram } from "./child-programs.ts";
import type { StartConfig } from "./config.ts";
import { holdHome } from "./home.ts";
import { openClient } from "./open-client.ts";
import { planFleet } from "./plan-fleet.ts";
import {
  describeNode,
  type PlannedNode,
  SIMULATED_MODELS,
  SIMULATED_MODELS_BESIDE_REAL,
  simulatedNodes,
} from "./planned-node.ts";
import { sendSample } from "./sample-call.ts";
import { startConsul } from "./start-consul.ts";
import { StartError } from "./start-error.ts";
import type { NodeSurroundings, StartingNode } from "./start-node.ts";
import { startNodes, waitForFirstReport } from "./start-nodes.ts";
import { findSampleModel, startRouter } from "./start-router.ts";
import { tryItText } from "./try-it.ts";

export interface StartSurroundings {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly lifecycle: Lifecycle;
  readonly print: (text: string) => void;
  /** Ends this program with exit code 1 after everything has stopped in order. */
  readonly fail: () => void;
}

/** Resolves when everything runs and the sample was shown. Rejects with ConfigError or StartError, whose words are for people. */
export async function start(config: StartConfig, surroundings: StartSurroundings): Promise<ReadyFacts> {
  const { clock, env, lifecycle, print } = surroundings;
  const home = await holdHome(config.listen, env, lifecycle);
  const plans = await planFleet({ ollamaUrls: config.ollamaUrls, ollamaHost: env["OLLAMA_HOST"], print });
  const consulUrl = config.isConsul ? await startConsul(surroundings) : undefined;
  const alive = new Set<string>();
  const programs = new ChildPrograms({
    clock,
    lifecycle,
    env,
    onLine: config.isVerbose ? (line) => print(`${line}\n`) : undefined,
    onLost: (lost) => tellLoss(lost, alive, surroundings),
  });
  const nodes: NodeSurroundings = { programs, home, clock, signal: lifecycle.stopSignal, consulUrl };
  const routerIsOpen = Promise.withResolvers<void>();
  const fleet = { config, nodes, alive, print, routerIsOpen: routerIsOpen.promise };
  const { starting, count } = await startFleet(plans, fleet);
  if (alive.size === 0) throw new StartError("no node could be started");
  const endpoints = starting.filter(({ plan }) => alive.has(plan.name)).map(({ endpoint }) => endpoint);
  const { address, opsAddress } = await startRouter(config, endpoints, nodes);
  routerIsOpen.resolve();
  if (consulUrl !== undefined) print(`\nConsul  ${consulUrl}/ui`);
  const health = opsAddress === undefined ? "" : `; health and metrics at http://${opsAddress}/readyz and /metrics`;
  print(
    `\nRouter  ${address}${health}\nNodes   ${starting.map(({ plan }) => describeNode(plan)).join("\n        ")}\n`,
  );
  lifecycle.stopSignal.addEventListener("abort", () => print("\nStopping.\n"), { once: true });
  const model = await findSampleModel(address, count, nodes);
  if (!config.isSampleOff && model === undefined) print("\nNo node has a model for a sample prompt yet.\n");
  if (!config.isSampleOff && model !== undefined) {
    using router = openClient(InferenceService, address);
    await sendSample(model, { client: router.client, clock, signal: lifecycle.stopSignal, print });
  }
  if (!lifecycle.stopSignal.aborted) {
    print(
      `${tryItText({ address, model: model?.name ?? SIMULATED_MODELS[0] })}\nServing at ${address} until Ctrl-C.\n`,
    );
  }
  return { address };
}

interface FleetStart {
  readonly config: StartConfig;
  readonly nodes: NodeSurroundings;
  /** Names of the nodes that run or are being started. */
  readonly alive: Set<string>;
  readonly print: (text: string) => void;
  readonly routerIsOpen: Promise<void>;
}

interface StartedFleet {
  readonly starting: readonly StartingNode[];
  /** Nodes that have reported. */
  readonly count: number;
}

/** Resolves when the router's port may open. Simulated nodes are added where real ones have nothing to send the sample to. */
async function startFleet(plans: readonly PlannedNode[], options: FleetStart): Promise<StartedFleet> {
  const { config, nodes, alive, print, routerIsOpen } = options;
  const begin = async (some: readonly PlannedNode[]): Promise<StartingNode[]> => {
    for (const { name } of some) alive.add(name);
    const onFailed = (node: string, { title, why }: { title: string; why: string }): void => {
      alive.delete(node);
      print(`${title} did not start: ${why}\n`);
    };
    return await startNodes(some, { ...nodes, routerIsOpen, onFailed });
  };
  const starting = await begin(plans);
  const first = await waitForFirstReport(starting, nodes);
  const isReal = plans.some(({ source }) => source.kind === "ollama");
  const isEnough = !isReal || config.isSampleOff || !first.isComplete || first.model !== undefined;
  if (isEnough) return { starting, count: first.count };
  const names = plans.map(({ name }) => name).join(", ");
  print(
    `No chat model under 4 GB at ${names}: run \`ollama pull ${SIMULATED_MODELS[0]}\`, which is noticed without a restart. Adding three simulated nodes.\n`,
  );
  const added = await begin(simulatedNodes(SIMULATED_MODELS_BESIDE_REAL));
  const second = await waitForFirstReport(added, nodes);
  return { starting: [...starting, ...added], count: first.count + second.count };
}

/** A program that served has ended by itself. Nothing is started again: whoever looks on should see what happened. */
function tellLoss(lost: LostProgram, alive: Set<string>, { print, fail }: StartSurroundings): void {
  const { title, node, end, lastLines } = lost;
  const lines = lastLines.map((line) => `  ${line}\n`).join("");
  const said = lines === "" ? ".\n" : `; it said last:\n${lines}`;
  print(`\nUnexpectedly ${title} ${howItEnded(end)}${said}`);
  if (node !== undefined) alive.delete(node);
  if (node !== undefined && alive.size > 0) {
    print(`Going on with ${[...alive].join(", ")}; to have ${node} back, start again.\n`);
    return;
  }
  print(
    `Nothing can be served without ${node === undefined ? "the router" : "a node"}; ending. Start again with npm start.\n`,
  );
  fail();
}
