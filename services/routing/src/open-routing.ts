/**
 * Puts a fleet together from plain options and lets it run: who exists, what is known of them, which one takes a call, the way
 * there. The one place that knows all parts; it listens nowhere and decides nothing about calls.
 */
import { type Clock, type Logger, type Rng, randomId } from "@drover/platform";
import type { FleetKnowledge } from "./api/fleet-facts.ts";
import { createPicker } from "./balancing/create-picker.ts";
import { LeaseLedger } from "./balancing/lease-ledger.ts";
import type { Picker } from "./balancing/picker.ts";
import { createPolicy, type PolicyName } from "./balancing/policies.ts";
import type { MembershipSource } from "./discovery/membership.ts";
import { type CallObserver, unobserved } from "./dispatch/call-observer.ts";
import { Dispatcher } from "./dispatch/dispatcher.ts";
import { NodeTally } from "./dispatch/node-tally.ts";
import type { RetryOptions } from "./dispatch/retry-options.ts";
import { Fleet } from "./fleet/fleet.ts";
import { followSource } from "./fleet/follow-source.ts";
import { NodeHealth, type NodeHealthOptions } from "./health/node-health.ts";
import { type DiscoveryOptions, openSources } from "./open-sources.ts";
import type { PoolReport } from "./transport/agent-pool.ts";
import { openAttachLink } from "./transport/attach-link.ts";
import { createHttp2Transport, type Http2Transport } from "./transport/http2-transport.ts";
import type { PoolLimits } from "./transport/pool-limits.ts";

export interface RoutingOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** Who attaches to the agents, for the people who look there. */
  readonly name: string;
  readonly version: string;
  readonly discovery: DiscoveryOptions;
  readonly policy: PolicyName;
  /** Default: HEALTH_DEFAULTS, and nobody is told. */
  readonly health?: Omit<NodeHealthOptions, "clock" | "log">;
  /** Default: RETRY_DEFAULTS. */
  readonly retry?: Partial<RetryOptions>;
  /** Told of each call, for metrics and traces. */
  readonly observer?: CallObserver;
  /** Default: POOL_DEFAULTS. */
  readonly connections?: Partial<PoolLimits>;
  /** When it aborts, the fleet stays as it is: whoever stops to list agents must not take them from calls that still run. */
  readonly stopSignal: AbortSignal;
}

export interface Routing extends FleetKnowledge {
  readonly picker: Picker;
  readonly dispatcher: Dispatcher;
  readonly sources: readonly MembershipSource[];
  /** The connections that carry calls, one entry for each endpoint of the fleet; Attach streams have their own. */
  connectionPools(): readonly ConnectionPool[];
  /** Ends connections, Attach streams and timers. Calls that still run are broken: stop the dispatcher and let them end before. */
  close(): Promise<void>;
}

export interface ConnectionPool extends PoolReport {
  readonly endpoint: string;
}

/** Discovery has begun when it returns; nodes attach as they are found. */
export function openRouting(options: RoutingOptions): Routing {
  const { clock, rng, log, stopSignal } = options;
  const isAttached = (endpoint: string): boolean => fleet.isAttached(endpoint);
  const { sources, close: closeSources } = openSources(options.discovery, { clock, rng, log, isAttached });
  const transport = createHttp2Transport({ clock, rng, ...options.connections });
  const fleet = openFleet(options, sources, transport);
  const ledger = new LeaseLedger();
  const health = new NodeHealth({ clock, log, ...options.health });
  const tally = new NodeTally();
  fleet.onChange(() => {
    const { byId } = fleet.snapshot;
    health.follow(byId);
    tally.retain(byId);
  });
  const picker = createPicker(createPolicy(options.policy), ledger, health);
  const observer = tally.around(options.observer ?? unobserved);
  const retry = options.retry ?? {};
  const dispatcher = new Dispatcher({ clock, rng, log, fleet, picker, transport, health, retry, observer });
  const ended = new AbortController();
  const signal = AbortSignal.any([stopSignal, ended.signal]);
  for (const source of sources) void followSource(source, { fleet, log, signal });
  const close = async (): Promise<void> => {
    ended.abort();
    dispatcher.close();
    transport.destroy();
    fleet.close();
    await closeSources();
  };
  const connectionPools = () => fleet.members().map(({ endpoint }) => ({ endpoint, ...transport.report(endpoint) }));
  return { clock, fleet, ledger, health, tally, picker, dispatcher, sources, connectionPools, close };
}

function openFleet(
  { clock, rng, log, name, version }: RoutingOptions,
  sources: readonly MembershipSource[],
  transport: Http2Transport,
): Fleet {
  const link = { clock, rng, routerName: name, incarnation: randomId(), version };
  return new Fleet({
    clock,
    log,
    openLink: (endpoint, report) =>
      openAttachLink(link, endpoint, (event) => {
        if (event.kind === "welcomed") transport.noteReachable(endpoint);
        report(event);
      }),
    sources: sources.map((source) => source.name),
  });
}
