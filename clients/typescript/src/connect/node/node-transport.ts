/** Addresses to a transport in Node: gRPC over HTTP/2, Consul, DNS, TLS. */
import { isIP } from "node:net";
import process from "node:process";
import { type Address, parseAddresses } from "../address.ts";
import { type Clock, type Rng, runtimeClock, runtimeRng } from "../clock.ts";
import type { ConnectOptions, OpenedTransport } from "../connect-options.ts";
import { joinTransport } from "../join-transport.ts";
import type { RouterList } from "../router-list.ts";
import { consulAccess, type Environment } from "./consul-environment.ts";
import { consulList } from "./consul-list.ts";
import { dnsList } from "./dns-list.ts";
import { CONNECTION_LIMITS, type ConnectionLimits } from "./http2-connection.ts";
import { nodeRouters } from "./node-router.ts";
import { nodeTls } from "./tls-options.ts";

/** What tests replace. */
export interface NodeParts {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly limits: ConnectionLimits;
  readonly env: Environment;
}

/** Opens no connection yet. Throws when the options cannot work. */
export function openNodeTransport(options: ConnectOptions, replaced: Partial<NodeParts> = {}): OpenedTransport {
  // biome-ignore lint/style/noProcessEnv: Consul's own variables are how its address and token are told to every tool.
  const defaults = { clock: runtimeClock, rng: runtimeRng, limits: CONNECTION_LIMITS, env: process.env };
  const parts: NodeParts = { ...defaults, ...replaced };
  const { clock, rng, limits } = parts;
  const addresses = parseAddresses(options.address, options.tls !== undefined);
  const tls = { ...nameOf(addresses), ...nodeTls(options.tls) };
  const scheme = options.tls === undefined ? "http" : "https";
  const urls = addresses.flatMap((address) => (address.kind === "router" ? [address.url] : []));
  const lists = addresses.flatMap((address) => listOf(address, scheme, parts) ?? []);
  return joinTransport({ ...options, clock, rng, urls, lists, open: nodeRouters({ clock, limits, tls }) });
}

/** Behind a name of DNS are numbers; a certificate carries the name (as gRPC, which takes it from the target). */
function nameOf(addresses: readonly Address[]): { readonly servername?: string } {
  const names = new Set(addresses.map((address) => (address.kind === "dns" ? address.host : undefined)));
  const [name] = names;
  return names.size === 1 && name !== undefined && isIP(name) === 0 ? { servername: name } : {};
}

/** Undefined where the address names the router itself. */
function listOf(address: Address, scheme: "http" | "https", { clock, env }: NodeParts): RouterList | undefined {
  switch (address.kind) {
    case "router":
      return undefined;
    case "dns":
      return dnsList(address, { clock, scheme });
    case "consul":
      return consulList(address, { clock, scheme, access: consulAccess(address.consul, env) });
  }
}
