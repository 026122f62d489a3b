/**
 * Where agents are looked for: a list, a file, Consul, DNS, or several of them at once. It decides who is asked, and nothing about
 * what they say.
 */
import { type Clock, type ConsulAccess, formatHostPort, type HostPort, type Logger, type Rng } from "@drover/platform";
import { createConsulSource } from "./discovery/consul/consul-source.ts";
import { createDnsSource } from "./discovery/dns-source.ts";
import type { MembershipSource } from "./discovery/membership.ts";
import { createNodesFileSource } from "./discovery/nodes-file-source.ts";
import { createStaticSource } from "./discovery/static-source.ts";
import { openConsulHttp } from "./transport/consul-http.ts";
import { lookUpAddresses } from "./transport/dns-lookup.ts";

/** Where agents listen unless they are told otherwise. */
export const AGENT_PORT = 50_052;

export interface DiscoveryOptions {
  readonly nodes?: readonly HostPort[];
  /** A file with one endpoint on each line, read again when it changes. */
  readonly nodesFile?: string;
  /** A Consul that lists agents. */
  readonly consul?: ConsulAccess;
  /** Names whose addresses are agents, each with the port at which they listen. */
  readonly dns?: readonly HostPort[];
}

export interface SourceSurroundings {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** Whether the agent at this endpoint is attached and talks. */
  readonly isAttached: (endpoint: string) => boolean;
}

export interface OpenSources {
  /** Never empty: where nothing is named it is a list without nodes. */
  readonly sources: readonly MembershipSource[];
  /** Ends their connections. */
  close(): Promise<void>;
}

export function openSources(options: DiscoveryOptions, surroundings: SourceSurroundings): OpenSources {
  const { clock, log } = surroundings;
  const { nodes = [], nodesFile, consul, dns: names = [] } = options;
  const sources: MembershipSource[] = [];
  const reader = consul === undefined ? undefined : openConsulHttp(consul, clock);
  if (nodesFile !== undefined) {
    sources.push(createNodesFileSource({ path: nodesFile, defaultPort: AGENT_PORT, clock, log }));
  }
  if (reader !== undefined) sources.push(createConsulSource({ ...surroundings, reader }));
  if (names.length > 0) sources.push(createDnsSource({ ...surroundings, names, lookUp: lookUpAddresses }));
  if (nodes.length > 0 || sources.length === 0) sources.push(createStaticSource(nodes.map(formatHostPort)));
  return { sources, close: async () => reader?.close() };
}
