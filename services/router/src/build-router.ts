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
  randomId,
  readAdminToken,
  reflectionRoutes,
  type Telemetry,
} from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import {
  createHttp2Transport,
  createPicker,
  createPolicy,
  Dispatcher,
  Fleet,
  type FleetSnapshot,
  LeaseLedger,
  type MembershipSource,
  NodeHealth,
  openAttachLink,
  type Picker,
} from "@drover/routing";
import { createAgentAdmin } from "./api/agent-admin.ts";
import { fleetFacts } from "./api/fleet-facts.ts";
import { FleetFeed } from "./api/fleet-feed.ts";
import { createInferenceService } from "./api/inference-service.ts";
import { CHANGING_METHODS, createRouterService } from "./api/router-service.ts";
import type { RouterConfig } from "./config.ts";
import { createSources } from "./discovery.ts";
import { healthOptions, retryOptions } from "./failure-flags.ts";
import { followSource } from "./follow-source.ts";
import { createCallTelemetry } from "./observe/call-telemetry.ts";
import { countEjections, observeFleet } from "./observe/fleet-telemetry.ts";
import { observeMembership } from "./observe/membership-telemetry.ts";
import { NodeTally } from "./observe/node-tally.ts";
import { createTellRefused, type TellRefused } from "./observe/refused-call.ts";
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
  const token = readAdminToken(config.adminTokenFile);
  const id = holdStateDir(config, surroundings);
  const requestBodies = new ByteBudget(REQUEST_BODIES_BYTES);
  const path = buildDataPath(config, surroundings, requestBodies);
  const { fleet, dispatcher, relay, sources, tellRefused } = path;
  const health = new HealthRegistry();
  const facts = () => ({
    isStopping: lifecycle.stopSignal.aborted,
    snapshot: fleet.snapshot,
    sources: sources.map((source) => ({ name: source.name, status: source.status() })),
    nowMs: clock.nowMs(),
  });
  const readiness = new Readiness(facts, health, HEALTH_NAMES);
  const shared = { isInsecureAllowed: config.isInsecure, allowHosts: config.allowHosts, log, clock };
  const report = () => readiness.report();
  const metrics = telemetry.answerMetrics;
  const ops = await openOpsListener({ ...shared, listen: config.opsListen, readiness: report, health, metrics });
  lifecycle.onStop("operators' listener", () => ops.close());
  const feed = new FleetFeed({
    ...{ clock, fleet, health: path.health },
    facts: () => fleetFacts({ ...path, clock }),
    stopSignal: lifecycle.stopSignal,
  });
  const agents = createAgentAdmin({ clock, token });
  const listener = await openListener({
    ...shared,
    listen: config.listen,
    corsOrigins: config.corsOrigins,
    relay,
    requestBodies,
    interceptors: [
      createRpcInterceptor({ telemetry, clock, except: [InferenceService.typeName] }),
      adminGuard({ methods: CHANGING_METHODS, ...(token === undefined ? {} : { token }) }),
    ],
    routes: (router) => {
      const inference = { dispatcher, bodies: requestBodies, maxWaitMs: config.maxWaitMs, tellRefused };
      router.service(InferenceService, createInferenceService(inference));
      router.service(RouterService, createRouterService({ ...path, clock, agents, feed }));
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

interface DataPath {
  readonly tellRefused: TellRefused;
  readonly fleet: Fleet;
  readonly ledger: LeaseLedger;
  readonly health: NodeHealth;
  readonly tally: NodeTally;
  readonly picker: Picker;
  readonly dispatcher: Dispatcher;
  readonly relay: ReturnType<typeof createRelay>;
  readonly sources: readonly MembershipSource[];
}

/** From discovery to the relay. Nothing of it listens. */
function buildDataPath(config: RouterConfig, surroundings: RouterSurroundings, bodies: ByteBudget): DataPath {
  const { clock, rng, log, lifecycle, telemetry } = surroundings;
  const isAttached = (endpoint: string): boolean => fleet.isAttached(endpoint);
  const sources = createSources(config, { ...surroundings, isAttached });
  const link = { clock, rng, routerName: config.name, incarnation: randomId(), version: VERSION };
  const fleet = new Fleet({
    clock,
    log,
    openLink: (endpoint, report) => openAttachLink(link, endpoint, report),
    sources: sources.map((source) => source.name),
  });
  lifecycle.onStop("fleet", () => fleet.close());
  const transport = createHttp2Transport(clock);
  lifecycle.onStop("connections to agents", () => transport.destroy());
  const ledger = new LeaseLedger();
  const health = new NodeHealth({ clock, log, ...healthOptions(config), ...countEjections(telemetry) });
  const tally = new NodeTally();
  fleet.onChange(() => {
    const { byId } = fleet.snapshot;
    health.follow(byId);
    tally.retain(byId);
  });
  const picker = createPicker(createPolicy(config.policy), ledger, health);
  const retry = retryOptions(config);
  const observer = tally.around(createCallTelemetry({ telemetry, clock }));
  const dispatcher = new Dispatcher({ clock, rng, log, fleet, picker, transport, health, retry, observer });
  const snapshot = (): FleetSnapshot => fleet.snapshot;
  observeFleet({ telemetry, snapshot, dispatcher, health });
  observeMembership({ telemetry, clock, sources, snapshot });
  telemetry.observe("requestBodies", (tell) => tell(bodies.held, {}));
  lifecycle.onStop("dispatcher", () => dispatcher.close());
  for (const source of sources) void followSource(source, { fleet, log, signal: lifecycle.stopSignal });
  const tellRefused = createTellRefused(log, telemetry);
  const relay = createRelay({ clock, dispatcher, bodies, tellRefused, maxWaitMs: config.maxWaitMs });
  return { fleet, ledger, health, tally, picker, dispatcher, relay, sources, tellRefused };
}

/** Calls that wait are told at once; those that run get their time, and what is left then is cut off. */
function stopListenerWith(
  limitMs: number,
  { lifecycle, log }: RouterSurroundings,
  listener: Listener,
  dispatcher: Dispatcher,
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
