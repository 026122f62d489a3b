/** Chooses the model of the sample prompt from what nodes report. It asks nobody. */

import { modelKey } from "@drover/platform";
import { type Model, type ModelInventory, type NodeLoad, RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";

/** What agents and routers tell of a node, as far as the choice needs it. */
export interface NodeReport {
  readonly inventory?: ModelInventory | undefined;
  readonly load?: NodeLoad | undefined;
}

/** Whether the node has said all that the choice needs: it learns what models can do one after the other. */
export function isSettled({ inventory }: NodeReport): boolean {
  return inventory?.isComplete === true && inventory.models.every(({ capabilities }) => capabilities.length > 0);
}

export interface SampleModel {
  readonly name: string;
  readonly isLoaded: boolean;
  /** Whether it would think first unless it is told not to. */
  readonly canThink: boolean;
}

/** Loading more than this for one sentence would keep people waiting. */
const LARGEST_COLD_BYTES = 4_000_000_000n;

/** The smallest chat model in memory; else the smallest under 4 GB on any disk; else undefined. */
export function chooseSampleModel(reports: readonly NodeReport[]): SampleModel | undefined {
  const candidates = reports
    .flatMap((report) =>
      (report.inventory?.models ?? []).map((model) => ({ model, isLoaded: isLoaded(model, report) })),
    )
    .filter(({ model }) => canChat(model) && model.remoteHost === "")
    .filter(({ model, isLoaded }) => isLoaded || model.sizeBytes < LARGEST_COLD_BYTES)
    .sort((a, b) => Number(b.isLoaded) - Number(a.isLoaded) || Number(a.model.sizeBytes - b.model.sizeBytes));
  const [best] = candidates;
  if (best === undefined) return undefined;
  const { model } = best;
  return { name: model.name, isLoaded: best.isLoaded, canThink: model.capabilities.includes("thinking") };
}

/** An embedding model may complete text as well; nobody wants to chat with it. */
function canChat({ capabilities }: Model): boolean {
  return capabilities.includes("completion") && !capabilities.includes("embedding");
}

function isLoaded(model: Model, { load }: NodeReport): boolean {
  const key = modelKey(model.name);
  const runners = load?.runners ?? [];
  return runners.some((runner) => runner.state === RunnerState.LOADED && modelKey(runner.model) === key);
}
