/**
 * What a provider stands on, and all in which a router and a fleet of its own differ to it.
 */
import type { DroverClient } from "../client/drover-client.ts";

/** The connections that carry calls to one agent, as they are now. */
export interface AgentConnectionPool {
  /** host:port of the agent. */
  readonly endpoint: string;
  /** Those that are being opened or closed included. */
  readonly connections: number;
  /** Calls that run on them. */
  readonly streams: number;
  /** Calls that wait for a connection to open. */
  readonly pending: number;
  /** Attempts to connect that failed since the last one that succeeded. */
  readonly failures: number;
  /** What the last of them ended with, in the operating system's word ("ECONNREFUSED"); empty: none failed. */
  readonly lastError: string;
}

export interface ProviderPort {
  readonly client: DroverClient;
  /** Undefined over a router: the connections to agents are its own. */
  readonly connectionPools?: () => readonly AgentConnectionPool[];
}

/** A configuration that was checked. */
export interface ProviderSource {
  /** What is tried, for errors: "router 127.0.0.1:50051". */
  readonly target: string;
  /** Called once, at the first use. */
  readonly open: () => ProviderPort;
}
