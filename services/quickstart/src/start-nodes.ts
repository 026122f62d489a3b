/** Starts several nodes side by side and waits until it is worth opening the router's port. It does not choose the nodes. */
import { sleep } from "@drover/platform";
import type { PlannedNode } from "./planned-node.ts";
import { chooseSampleModel, type NodeReport, type SampleModel } from "./sample-model.ts";
import { type NodeOutcome, type NodeSurroundings, type StartingNode, startNode } from "./start-node.ts";

export interface StartNodesOptions extends NodeSurroundings {
  /** Until then only the first simulated node starts: the machine is busy enough with what the first answer needs. */
  readonly routerIsOpen: Promise<void>;
  /** Hears of a node whose program did not start; the others go on. */
  readonly onFailed: (node: string, outcome: Extract<NodeOutcome, { kind: "failed" }>) => void;
}

export async function startNodes(plans: readonly PlannedNode[], options: StartNodesOptions): Promise<StartingNode[]> {
  const { signal, routerIsOpen, onFailed } = options;
  const starting: StartingNode[] = [];
  for (const plan of plans) {
    const isLater = plan.source.kind === "simulated" && plan !== plans[0];
    const node = await startNode(plan, options, isLater ? routerIsOpen : Promise.resolve());
    starting.push(node);
    void node.outcome.then((outcome) => {
      if (outcome.kind === "failed" && !signal.aborted) onFailed(plan.name, outcome);
    });
  }
  return starting;
}

export interface FirstReports {
  /** What a sample prompt could be sent to, as far as nodes have reported. */
  readonly model: SampleModel | undefined;
  /** Nodes that have reported. */
  readonly count: number;
  /** Whether every node that could start has reported. */
  readonly isComplete: boolean;
}

const WAIT_LIMIT_MS = 5_000;

/** Resolves when a node has reported a model for the sample, when all nodes have said what they can, or after 5 s. */
export async function waitForFirstReport(
  starting: readonly StartingNode[],
  { clock, signal }: Pick<NodeSurroundings, "clock" | "signal">,
): Promise<FirstReports> {
  const reports: NodeReport[] = [];
  const waited = new AbortController();
  const stop = AbortSignal.any([signal, waited.signal]);
  const enough = sleep(clock, WAIT_LIMIT_MS, stop);
  let open = starting.length;
  let late = 0;
  for (const { outcome } of starting) {
    void outcome.then((result) => {
      open--;
      if (result.kind === "reported") reports.push(result.report);
      if (result.kind === "late") late++;
      if (open === 0 || chooseSampleModel(reports) !== undefined) waited.abort();
    });
  }
  await enough;
  const count = reports.length;
  return { model: chooseSampleModel(reports), count, isComplete: open === 0 && late === 0 && count > 0 };
}
