/**
 * A fleet in this process, as a Transport: the handlers that routers serve, over the routing that routers run, without a port. It
 * knows no client.
 */
import { createRouterTransport, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  ByteBudget,
  createErrorInterceptor,
  DroverError,
  HealthRegistry,
  REQUEST_BODIES_BYTES,
  randomId,
  setCallId,
  silentLogger,
  sleep,
  systemClock,
} from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { type ConnectionPool, createFleetRoutes, openRouting, type Routing, refusalError } from "@drover/routing";
import { type DirectOptions, MAX_WAIT_MS, routingOptions } from "./direct-options.ts";

export interface DirectTransport extends AsyncDisposable {
  /** For any client of InferenceService, RouterService and grpc.health.v1, as a transport to a router would be. */
  readonly transport: Transport;
  /** The connections to each agent as they are now. */
  connectionPools(): readonly ConnectionPool[];
  /** Cancels the calls that run at their nodes and ends every connection and timer. May be called again. */
  close(): Promise<void>;
}

const SERVICES = [InferenceService, RouterService, Health];

/** Agents are looked for from now on; calls wait until there are some. Throws where an option is wrong. */
export function openDirectTransport(options: DirectOptions): DirectTransport {
  const stop = new AbortController();
  const shutdown = new AbortController();
  const log = options.log ?? silentLogger;
  const routing = openRouting(routingOptions(options, stop.signal));
  const health = watchedHealth(routing);
  const fleetRoutes = createFleetRoutes(routing, {
    bodies: new ByteBudget(REQUEST_BODIES_BYTES),
    maxWaitMs: options.maxWaitMs ?? MAX_WAIT_MS,
    adminToken: options.adminToken,
    tellRefused: (refused) => refusalError(refused, log),
    stopSignal: stop.signal,
  });
  const transport = createRouterTransport(
    (router) => {
      fleetRoutes(router);
      health.routes(router);
    },
    {
      router: {
        interceptors: [named, createErrorInterceptor(log), refusedAfter(shutdown.signal)],
        acceptCompression: [],
        shutdownSignal: shutdown.signal,
      },
    },
  );
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= closeAll(routing, health, stop, shutdown);
    return closed;
  };
  return { transport, connectionPools: () => routing.connectionPools(), close, [Symbol.asyncDispose]: close };
}

/** As a listener does: every call has an id, in its log lines, its trailers and at its node. */
const named: Interceptor = (next) => (request) => {
  setCallId(request.contextValues, randomId());
  return next(request);
};

function refusedAfter(closed: AbortSignal): Interceptor {
  return (next) => (request) => {
    if (closed.aborted) throw new DroverError("router_stopping", "This client stops or was closed: open another one.");
    return next(request);
  };
}

/** Serving as soon as discovery has answered, as a router is ready. */
function watchedHealth({ fleet, sources }: Routing): HealthRegistry {
  const health = new HealthRegistry();
  const look = (): void => {
    const isReady = sources.some((source) => source.status().answeredMs !== undefined);
    for (const name of ["", ...SERVICES.map(({ typeName }) => typeName)]) health.set(name, isReady);
  };
  look();
  fleet.onChange(look);
  return health;
}

/** In turns of the event loop, so that each step is heard before the next one takes away what it needs. */
async function closeAll(
  routing: Routing,
  health: HealthRegistry,
  stop: AbortController,
  shutdown: AbortController,
): Promise<void> {
  // Whoever waits for a node or watches the fleet is told why it ends.
  routing.dispatcher.stop();
  health.shutdown();
  stop.abort();
  await sleep(systemClock, 0);
  // Running calls are cancelled; their resets go to the nodes before the connections do.
  shutdown.abort();
  await sleep(systemClock, 0);
  await routing.close();
}
