/**
 * The configuration of a provider without a router: where agents are found, and all that a router's flags say elsewhere.
 */
import type { PolicyName } from "@drover/routing";
import { describeUnknown } from "../errors/describe-unknown.ts";
import { DroverError, invalidArgument } from "../errors/drover-error.ts";
import { CONFIG_NAMES } from "../provider/config-names.ts";
import type { ProviderSource } from "../provider/provider-port.ts";
import { createDirectClient } from "./create-direct-client.ts";
import {
  type ConnectionPoolOptions,
  type DirectOptions,
  type HealthCheckOptions,
  routingOptions,
} from "./direct-options.ts";

/** Without a router. Everything but `discovery` may be left out. */
export interface DirectProviderConfig {
  readonly discovery: AgentDiscovery;
  /** How an agent is chosen among those that can take a call. Default "weighted". */
  readonly loadBalancing?: PolicyName;
  readonly healthCheck?: HealthCheckOptions;
  /** Connections to each agent: at most 5, closed when idle for 30 s. */
  readonly connectionPool?: ConnectionPoolOptions;
  /** Refused: agents ask nobody for a token and speak no TLS. Keep them in a network that you trust, or behind a router. */
  readonly security?: undefined;
}

/** One of them at least; several together are one fleet. */
export interface AgentDiscovery {
  /** host:port of agents; without a port 50052. */
  readonly static?: string | readonly string[];
  /** The Consul in which agents are registered; CONSUL_HTTP_TOKEN is honoured. */
  readonly consul?: ConsulDiscovery;
  /** Names whose addresses are agents, as host:port; without a port 50052. Asked again every 30 s. */
  readonly dns?: string | readonly string[];
}

export interface ConsulDiscovery {
  /** host:port. Default: CONSUL_HTTP_ADDR, else 127.0.0.1:8500. */
  readonly address?: string;
}

const DISCOVERY = ["static", "consul", "dns"];
/** Named in an error. */
const AGENTS_NAMED_MAX = 10;

/** Throws a DroverError that names all that is wrong. Looks for nobody before the provider's first use. */
export function directSource(config: DirectProviderConfig): ProviderSource {
  const { discovery = {}, loadBalancing, healthCheck = {}, connectionPool = {} } = config ?? {};
  const agents = addressesOf(discovery);
  const options: DirectOptions = {
    agents,
    healthCheck,
    connectionPool,
    ...(loadBalancing === undefined ? {} : { loadBalancing }),
  };
  const problems = [...nameProblems(config ?? {}), ...valueProblems(options)];
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  const more = agents.length - AGENTS_NAMED_MAX;
  const named = agents.slice(0, AGENTS_NAMED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
  const open = () => {
    const client = createDirectClient(options);
    return { client, connectionPools: client.connectionPools };
  };
  return { target: `agents ${named}`, open };
}

/** As createDirectClient takes them. */
function addressesOf(discovery: AgentDiscovery): readonly string[] {
  const { static: addresses = [], consul, dns = [] } = discovery;
  const host = consul?.address === undefined ? "" : `${consul.address}/`;
  return [
    ...[addresses].flat(),
    ...[dns].flat().map((name) => `dns:///${name}`),
    ...(consul === undefined ? [] : [`consul://${host}drover-agent`]),
  ];
}

function nameProblems(config: Partial<DirectProviderConfig>): readonly string[] {
  const { discovery = {}, security } = config;
  const names = Object.keys(discovery);
  return [
    ...describeUnknown("", Object.keys(config), CONFIG_NAMES),
    ...(names.includes("router") ? ["discovery.router: a router is reached by the provider of @drover/client."] : []),
    ...describeUnknown(
      "discovery",
      names.filter((name) => name !== "router"),
      DISCOVERY,
    ),
    ...describeUnknown("discovery.consul", Object.keys(discovery.consul ?? {}), ["address"]),
    ...(security === undefined ? [] : [SECURITY]),
  ];
}

const SECURITY =
  "security: agents ask nobody for a token and speak no TLS. Keep them in a network that you trust, or behind a router.";

function valueProblems(options: DirectOptions): readonly string[] {
  if (options.agents.length === 0) return ["discovery: say where agents are, with static, consul or dns."];
  try {
    routingOptions(options, new AbortController().signal);
    return [];
  } catch (error) {
    if (error instanceof DroverError) return [error.message];
    throw error;
  }
}
