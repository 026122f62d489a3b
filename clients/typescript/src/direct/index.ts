/**
 * @drover/client/direct: the client without a router, in Node. It finds the agents itself, keeps a stream to each, and decides as a
 * router does, by the same code.
 */

export type { ConnectionPool, PolicyName } from "@drover/routing";
export { createDirectClient, type DirectClient, type DirectClientOptions } from "./create-direct-client.ts";
export type { ConnectionPoolOptions, DirectOptions, HealthCheckOptions } from "./direct-options.ts";
export { type DirectTransport, openDirectTransport } from "./direct-transport.ts";
export { NetworkAgentProvider } from "./network-agent-provider.ts";
export type { AgentDiscovery, ConsulDiscovery, DirectProviderConfig } from "./provider-config.ts";
