/** What a picker may know of a node's runners: the models in its memory, each with the options with which it was loaded. */
import { modelKey } from "@drover/platform";
import { type NodeLoad, type Runner, RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";

export interface RunnerView {
  /** Canonical JSON of its load-time options; empty for the model's default runner. */
  readonly optionsJson: string;
  readonly state: "loading" | "loaded" | "closing";
  readonly slots: number;
  /** Slots that are busy or cooling. */
  readonly active: number;
  readonly queued: number;
  /** Tokens that fit into it, as Ollama says; 0 while that is not known. */
  readonly contextLength: number;
  /** Prompt tokens per second that were not cached; undefined until it is learned. */
  readonly prefillTokensPerSecond: number | undefined;
  /** Bytes of a request for each token of its prompt; undefined until it is learned. */
  readonly bytesPerToken: number | undefined;
}

/** By model key; a runner stands under each name of its weights. A model may have several: Ollama holds one of them, and calls wait for the others. */
export function viewRunners(load: NodeLoad | undefined): ReadonlyMap<string, readonly RunnerView[]> {
  const byModel = new Map<string, RunnerView[]>();
  for (const runner of load?.runners ?? []) {
    const view = viewRunner(runner);
    if (view === undefined) continue;
    for (const name of [runner.model, ...runner.otherModels]) add(byModel, modelKey(name), view);
  }
  return byModel;
}

function add(byModel: Map<string, RunnerView[]>, key: string | undefined, view: RunnerView): void {
  if (key === undefined) return;
  const views = byModel.get(key);
  if (views === undefined) byModel.set(key, [view]);
  else views.push(view);
}

/** Each of them once, also one that stands under several names. */
export function distinctRunners(runners: ReadonlyMap<string, readonly RunnerView[]>): ReadonlySet<RunnerView> {
  return new Set([...runners.values()].flat());
}

/** Models that can be asked without a load, by key. */
export function loadedModelsOf(runners: ReadonlyMap<string, readonly RunnerView[]>): ReadonlySet<string> {
  const loaded = [...runners].filter(([, views]) => views.some(({ state }) => state === "loaded"));
  return new Set(loaded.map(([key]) => key));
}

/** The largest context that the model has in this memory, in tokens; 0 when none is known. */
export function largestContext(runners: readonly RunnerView[] | undefined): number {
  return Math.max(0, ...(runners ?? []).map(({ contextLength }) => contextLength));
}

const STATES: ReadonlyMap<RunnerState, RunnerView["state"]> = new Map([
  [RunnerState.LOADING, "loading"],
  [RunnerState.LOADED, "loaded"],
  [RunnerState.CLOSING, "closing"],
]);

/** Undefined for a state of a newer agent. */
function viewRunner(runner: Runner): RunnerView | undefined {
  const state = STATES.get(runner.state);
  if (state === undefined) return undefined;
  const { slots, active, queued, contextLength } = runner;
  const { prefillTokensPerSecond, bytesPerToken } = runner.rates ?? {};
  const optionsJson = runner.runnerOptionsJson;
  const load = { slots: Math.max(slots, 1), active, queued };
  return { optionsJson, state, ...load, contextLength, prefillTokensPerSecond, bytesPerToken };
}
