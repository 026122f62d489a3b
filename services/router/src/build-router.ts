/**
 * Puts a router together from its configuration and opens its ports. The one place that knows all parts; it decides nothing
 * about calls.
 */
import {
  adminGuard,
  ByteBudget,
  type Clock,
  createRpcInterceptor,
  defaultStateDir,
  type Env,
  HealthRegistry,
  type Lifecycle,
  type Listener,
  type Logger,
  openListener,
  openOpsListener,
  openStateDir,
  parseHostPort,
  REQUEST_BODIES_BYTES,
  type Rng,
  readAdminToken,
  reflectionRoutes,
  type Telemetry,
} from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { CHANGING_METHODS, createFleetRoutes, openRouting, type Routing } from "@drover/routing";
import type { RouterConfig } from "./config.ts";
import { discoveryOptions } from "./discovery.ts";
import { healthOptions, retryOptions } from "./failure-flags.ts";
import { createCallTelemetry } from "./observe/call-telemetry.ts";
import { countEjections, observeFleet } from "./observe/fleet-telemetry.ts";
import { observeMembership } from "./observe/membership-telemetry.ts";
import { createTellRefused } from "./observe/refused-call.ts";
import { Readiness } from "./readiness.ts";
import { registerRouter } from "./registration.ts";
import { createRelay } from "./relay/relay.ts";
import { VERSION } from "./version.ts";

const SERVICES = [InferenceService, RouterService, Health];
const HEALTH_NAMES = ["", ...SERVICES.map((service) => service.typeName)];

export interface RouterSurroundings {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly rng: Rng;
  readonly log: Logger;
  readonly env: Env;
  /** Stops the router's parts in order. */
  readonly lifecycle: Lifecycle;
}

export interface Router {
  /** host:port as really bound. */
  readonly address: string;
  readonly opsAddress: string;
  /** Names of the discovery sources. */
  readonly sources: readonly string[];
}

/** Resolves when the router listens. Rejects with a ConfigError where a port is taken or an address is not allowed. */
export async function buildRouter(config: RouterConfig, surroundings: RouterSurroundings): Promise<Router> {
  const { clock, log, lifecycle, telemetry } = surroundings;
  const adminToken = readAdminToken(config.adminTokenFile);
  const id = holdStateDir(config, surroundings);
  const routing = startRouting(config, surroundings);
  const { fleet, dispatcher, sources } = routing;
  const health = new HealthRegistry();
  const readiness = new Readiness(() => routerFacts(routing, lifecycle), health, HEALTH_NAMES);
  const shared = { isInsecureAllowed: config.isInsecure, allowHosts: config.allowHosts, log, clock };
  const report = () => readiness.report();
  const metrics = telemetry.answerMetrics;
  const ops = await openOpsListener({ ...shared, listen: config.opsListen, readiness: report, health, metrics });
  lifecycle.onStop("operators' listener", () => ops.close());
  const bodies = new ByteBudget(REQUEST_BODIES_BYTES);
  telemetry.observe("requestBodies", (tell) => tell(bodies.held, {}));
  const served = { bodies, maxWaitMs: config.maxWaitMs, tellRefused: createTellRefused(log, telemetry) };
  const fleetRoutes = createFleetRoutes(routing, { ...served, adminToken, stopSignal: lifecycle.stopSignal });
  const listener = await openListener({
    ...shared,
    listen: config.listen,
    corsOrigins: config.corsOrigins,
    relay: createRelay({ ...served, clock, dispatcher }),
    requestBodies: bodies,
    interceptors: [
      createRpcInterceptor({ telemetry, clock, except: [InferenceService.typeName] }),
      adminGuard({ methods: CHANGING_METHODS, ...(adminToken === undefined ? {} : { token: adminToken }) }),
    ],
    routes: (router) => {
      fleetRoutes(router);
      health.routes(router);
      reflectionRoutes(SERVICES)(router);
    },
  });
  readiness.listening();
  fleet.onChange(() => readiness.changed());
  const addresses = { address: listener.address, opsAddress: ops.address };
  const registrar = registerRouter(config, { ...surroundings, ...addresses, readiness, id });
  // Parts stop in reverse: while calls run, this router is in Consul, in maintenance.
  lifecycle.onStop("registration in Consul", () => registrar?.stop());
  stopListenerWith(config.drainLimitMs, surroundings, listener, dispatcher);
  lifecycle.onStop("health", () => health.shutdown());
  return { ...addresses, sources: sources.map((source) => source.name) };
}

/** Two routers on one folder are most likely one router started twice. Returns the id that survives restarts. */
function holdStateDir(config: RouterConfig, { lifecycle, log, env }: RouterSurroundings): string {
  const port = parseHostPort(config.listen)?.port ?? 0;
  const stateDir = openStateDir({ dir: config.stateDir ?? defaultStateDir("router", port, env), log });
  lifecycle.onStop("state directory", () => stateDir.release());
  return stateDir.nodeId;
}

/** From discovery to the connections to agents, and what metrics show of it. Nothing of it listens. */
function startRouting(config: RouterConfig, surroundings: RouterSurroundings): Routing {
  const { clock, rng, log, env, lifecycle, telemetry } = surroundings;
  const routing = openRouting({
    ...{ clock, rng, log, name: config.name, version: VERSION, policy: config.policy },
    discovery: discoveryOptions(config, env),
    health: { ...healthOptions(config), ...countEjections(telemetry) },
    retry: retryOptions(config),
    observer: createCallTelemetry({ telemetry, clock }),
    stopSignal: lifecycle.stopSignal,
  });
  lifecycle.onStop("fleet and connections to agents", () => routing.close());
  const snapshot = (): Routing["fleet"]["snapshot"] => routing.fleet.snapshot;
  observeFleet({ ...routing, telemetry, snapshot });
  observeMembership({ telemetry, clock, sources: routing.sources, snapshot });
  return routing;
}

function routerFacts({ fleet, sources, clock }: Routing, { stopSignal }: Lifecycle) {
  return {
    isStopping: stopSignal.aborted,
    snapshot: fleet.snapshot,
    sources: sources.map((source) => ({ name: source.name, status: source.status() })),
    nowMs: clock.nowMs(),
  };
}

/** Calls that wait are told at once; those that run get their time, and what is left then is cut off. */
function stopListenerWith(
  limitMs: number,
  { lifecycle, log }: RouterSurroundings,
  listener: Listener,
  dispatcher: Routing["dispatcher"],
): void {
  lifecycle.onStop("connections of callers", () => listener.destroy());
  const drain = (): Promise<void> => {
    dispatcher.stop();
    const { activeCalls: calls } = dispatcher;
    if (calls > 0) log.info({ calls, limitMs }, "stopping: running calls may end; a second signal ends them now");
    return listener.drain();
  };
  lifecycle.onStop("running calls", drain, { timeoutMs: limitMs });
}
