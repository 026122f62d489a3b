/**
 * Where agents are, as people write it: addresses, names that DNS knows, a Consul. It asks nobody; all that is wrong is said at once.
 */
import {
  ConfigError,
  type ConsulAccess,
  consulAccess,
  consulAddressOf,
  type Env,
  type HostPort,
  parseHostPort,
} from "@drover/platform";
import { AGENT_PORT, AGENT_SERVICE, type DiscoveryOptions } from "@drover/routing";
import { invalidArgument } from "../errors/drover-error.ts";

/** Addresses beyond this number are a mistake; larger fleets are found through DNS or Consul. */
const ADDRESSES_MAX = 10_000;

type Read =
  | { readonly kind: "node" | "dns"; readonly address: HostPort }
  | { readonly kind: "consul"; readonly consul: ConsulAccess }
  | { readonly kind: "wrong"; readonly problem: string };

/** Throws a DroverError with everything that is wrong. `env`: for `consul://drover-agent`, whose address and token are Consul's usual ones. */
export function readAgentAddresses(given: string | readonly string[], env: Env): DiscoveryOptions {
  const texts = typeof given === "string" ? [given] : given;
  if (texts.length === 0) throw invalidArgument("agents: the list is empty; give at least one address.");
  if (texts.length > ADDRESSES_MAX) throw invalidArgument(`agents: at most ${ADDRESSES_MAX} addresses are read.`);
  const read = texts.map((text) => readOne(String(text).trim(), env));
  const problems = read.flatMap((each) => (each.kind === "wrong" ? [each.problem] : []));
  const [consul, ...more] = read.flatMap((each) => (each.kind === "consul" ? [each.consul] : []));
  if (more.length > 0) problems.push("agents: one Consul is enough; it forwards to the others.");
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  return {
    nodes: read.flatMap((each) => (each.kind === "node" ? [each.address] : [])),
    dns: read.flatMap((each) => (each.kind === "dns" ? [each.address] : [])),
    ...(consul === undefined ? {} : { consul }),
  };
}

function readOne(text: string, env: Env): Read {
  const consul = /^consul:\/\/(?:([^/]+)\/)?([^/]+)$/i.exec(text);
  if (consul !== null) return readConsul(text, consul[1], consul[2] ?? "", env);
  const name = /^dns:(?:\/\/\/)?([^/]+)$/i.exec(text)?.[1];
  const address = parseHostPort(name ?? text.replace(/^http:\/\/([^/]*)\/?$/i, "$1"), AGENT_PORT);
  if (address === undefined || address.port === 0) {
    return wrong(text, "is none of host:50052, dns:///name:50052 and consul://drover-agent.");
  }
  return { kind: name === undefined ? "node" : "dns", address };
}

function readConsul(text: string, host: string | undefined, service: string, env: Env): Read {
  if (service !== AGENT_SERVICE)
    return wrong(text, `names a service that agents do not register: ${AGENT_SERVICE} is theirs.`);
  const address = host ?? consulAddressOf(env);
  const url = address.includes("://") ? address : `http://${address}`;
  if (!URL.canParse(url)) return wrong(text, `leads to Consul at "${address}", which is no address.`);
  try {
    return { kind: "consul", consul: consulAccess(url.replace(/\/+$/, ""), env) };
  } catch (error) {
    if (error instanceof ConfigError) return { kind: "wrong", problem: error.message };
    throw error;
  }
}

function wrong(text: string, problem: string): Read {
  return { kind: "wrong", problem: `agents: "${text}" ${problem}` };
}
