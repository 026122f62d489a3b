/**
 * Both services of a fleet, as routes for whoever hosts them: a router's listener, or a program's own transport in process. It
 * knows no port and no protocol.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import type { ByteBudget } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import type { Picker } from "../balancing/picker.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { createAgentAdmin } from "./agent-admin.ts";
import { type FleetKnowledge, fleetFacts } from "./fleet-facts.ts";
import { FleetFeed } from "./fleet-feed.ts";
import { createInferenceService } from "./inference-service.ts";
import type { TellRefused } from "./refused-call.ts";
import { createRouterService } from "./router-service.ts";

export interface ServedFleet extends FleetKnowledge {
  readonly picker: Picker;
  readonly dispatcher: Dispatcher;
}

export interface FleetRoutesOptions {
  /** What the requests of running calls may take together. */
  readonly bodies: ByteBudget;
  /** For calls that do not say drover-max-wait-ms. */
  readonly maxWaitMs: number;
  /** Shown to agents that are asked to change their node. */
  readonly adminToken: string | undefined;
  /** Of calls that do not reach dispatch. */
  readonly tellRefused: TellRefused;
  /** When it aborts, watchers of the fleet are sent away, so that nobody waits for them. */
  readonly stopSignal: AbortSignal;
}

/** One for each fleet: all watchers share one look at it. */
export function createFleetRoutes(served: ServedFleet, options: FleetRoutesOptions): (router: ConnectRouter) => void {
  const { clock, fleet, health, dispatcher } = served;
  const { adminToken: token, stopSignal } = options;
  const feed = new FleetFeed({ clock, fleet, health, facts: () => fleetFacts(served), stopSignal });
  const agents = createAgentAdmin({ clock, token });
  const inference = createInferenceService({ ...options, dispatcher });
  const questions = createRouterService({ ...served, agents, feed });
  return (router) => {
    router.service(InferenceService, inference);
    router.service(RouterService, questions);
  };
}
