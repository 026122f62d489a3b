/** Starts one node: an agent and, for a simulated node, the Ollama beside it. Ends when the agent knows its models. */
import { createServer } from "node:net";
import { join } from "node:path";
import { bindSocket, type Clock, sleep } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import type { ChildPrograms, ProgramToStart } from "./child-programs.ts";
import { openClient } from "./open-client.ts";
import type { PlannedNode, Simulation } from "./planned-node.ts";
import { isSettled, type NodeReport } from "./sample-model.ts";

export interface NodeSurroundings {
  readonly programs: ChildPrograms;
  /** Below it the agent keeps its state. */
  readonly home: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Where agents register and the router finds them; undefined: the router is told of them. */
  readonly consulUrl: string | undefined;
}

export interface StartingNode {
  readonly plan: PlannedNode;
  /** `host:port` of the agent, from the beginning. */
  readonly endpoint: string;
  /** Never rejects. */
  readonly outcome: Promise<NodeOutcome>;
}

export type NodeOutcome =
  | { readonly kind: "reported"; readonly report: NodeReport }
  /** The agent runs, and does not know its Ollama's models yet. */
  | { readonly kind: "late" }
  /** `why` may have several lines: what the program said last. */
  | { readonly kind: "failed"; readonly title: string; readonly why: string };

const REPORT_LIMIT_MS = 5_000;
const REPORT_INTERVAL_MS = 50;

/** Its programs start once `mayStart` resolves; its endpoint is known from the beginning. */
export async function startNode(
  plan: PlannedNode,
  surroundings: NodeSurroundings,
  mayStart: Promise<void>,
): Promise<StartingNode> {
  const endpoint = await freeAddress();
  return { plan, endpoint, outcome: mayStart.then(() => run(plan, endpoint, surroundings)) };
}

async function run(plan: PlannedNode, endpoint: string, surroundings: NodeSurroundings): Promise<NodeOutcome> {
  const { name, source } = plan;
  let ollama: string;
  let extra: readonly string[] = [];
  if (source.kind === "simulated") {
    const { simulation } = source;
    const simulator = await startProgram({ kind: "sim-ollama", node: name, flags: simFlags(simulation) }, surroundings);
    if (simulator.kind === "failed") return simulator;
    ollama = `http://${simulator.address}`;
    extra = ["--slots", String(simulation.slots)];
  } else {
    ollama = source.url;
  }
  const flags = [
    ...["--listen", endpoint, "--ops-listen", "127.0.0.1:0"],
    ...["--ollama", ollama, "--name", name, "--state-dir", join(surroundings.home, name)],
    ...(surroundings.consulUrl === undefined ? [] : ["--consul", surroundings.consulUrl]),
    ...extra,
  ];
  const agent = await startProgram({ kind: "agent", node: name, flags }, surroundings);
  return agent.kind === "failed" ? agent : await waitForReport(agent.address, surroundings);
}

type Started =
  | { readonly kind: "ready"; readonly address: string }
  | { readonly kind: "failed"; readonly title: string; readonly why: string };

async function startProgram(program: ProgramToStart, { programs, signal }: NodeSurroundings): Promise<Started> {
  if (signal.aborted) return { kind: "failed", title: program.kind, why: "it is stopping" };
  const child = programs.start(program);
  const start = await child.started;
  // What a Ctrl-C ended did not fail; whoever asks finds the signal aborted then.
  if (start.kind === "failed") await programs.isStopping();
  return start.kind === "ready" ? start : { kind: "failed", title: child.title, why: start.why };
}

function simFlags({ models, slots, tokensPerSecond }: Simulation): string[] {
  return [
    ...["--listen", "127.0.0.1:0", "--models", models.join(","), "--load-seconds", "0.3"],
    ...["--slots", String(slots), "--speed", String(tokensPerSecond)],
  ];
}

async function waitForReport(address: string, { clock, signal }: NodeSurroundings): Promise<NodeOutcome> {
  using agent = openClient(AgentService, address);
  const endMs = clock.nowMs() + REPORT_LIMIT_MS;
  while (clock.nowMs() < endMs && !signal.aborted) {
    const report = await agent.client.getStatus({}, { signal, timeoutMs: REPORT_LIMIT_MS }).catch(() => undefined);
    if (report !== undefined && isSettled(report)) return { kind: "reported", report };
    await sleep(clock, REPORT_INTERVAL_MS, signal);
  }
  return { kind: "late" };
}

/**
 * A port that is free now. The router has to know all endpoints when it starts, and it does not wait for the slowest agent.
 */
async function freeAddress(): Promise<string> {
  const server = createServer();
  const { address } = await bindSocket(server, { listen: "127.0.0.1:0", isInsecureAllowed: false, flag: "--listen" });
  await new Promise((resolve) => server.close(resolve));
  return address;
}
