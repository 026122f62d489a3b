/** What all routes of one simulated Ollama share. Holds the parts together, decides nothing. */
import type { Clock, Rng } from "@drover/platform";
import type { Pace } from "./completion.ts";
import type { FaultPlan, FaultScript } from "./faults.ts";
import type { Reply } from "./http/reply.ts";
import type { ModelCatalog } from "./model-catalog.ts";
import type { OpenRecord, RequestLog } from "./request-log.ts";
import type { Scheduler } from "./scheduling/scheduler.ts";

export interface Simulation {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly catalog: ModelCatalog;
  readonly scheduler: Scheduler;
  readonly pace: Pace;
  readonly faults: FaultScript;
  readonly log: RequestLog;
  readonly settings: SimulationSettings;
  /** Resets all connections and forgets what is loaded. */
  readonly crash: () => void;
}

export interface SimulationSettings {
  /** Picks the text that the models write. */
  readonly seed: number;
  /** What `/api/version` says. */
  readonly version: string;
  /** `num_ctx` where the caller names none. */
  readonly context: number;
  /** Every answer has exactly so many tokens; 0 leaves it to chance. */
  readonly answerTokens: number;
}

/** One request on its way through a route. */
export interface Exchange {
  /** The raw body; empty for GET. */
  readonly body: string;
  readonly plan: FaultPlan;
  readonly reply: Reply;
  readonly record: OpenRecord;
  /** Milliseconds on the simulation's clock. */
  readonly arrivedAtMs: number;
}

export type Route = (exchange: Exchange, simulation: Simulation) => Promise<void> | void;
