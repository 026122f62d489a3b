/** `dns:///name:port`: every address of a name is a router. */
import { lookup } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { codeOf } from "../../errors/error-causes.ts";
import type { Address } from "../address.ts";
import type { Clock } from "../clock.ts";
import { connectionError } from "../connection-error.ts";
import { LookedUpList } from "../looked-up-list.ts";

/** As gRPC's own resolver: not more often than every 30 s, unless every known address fails. */
const MAX_AGE_MS = 30_000;
const MIN_INTERVAL_MS = 1_000;
const ROUTERS_MAX = 256;

export interface DnsListOptions {
  readonly clock: Clock;
  readonly scheme: "http" | "https";
  /** All addresses of a name. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

export function dnsList(address: Address & { readonly kind: "dns" }, options: DnsListOptions): LookedUpList {
  const { clock, scheme, resolve = resolveAll } = options;
  const { host, port } = address;
  const lookUp = async (): Promise<readonly string[]> => {
    const addresses = await resolve(host).catch((cause) => {
      throw unresolved(host, port, cause);
    });
    if (addresses.length === 0) throw unresolved(host, port, undefined);
    const unique = [...new Set(addresses)].slice(0, ROUTERS_MAX);
    return unique.map((each) => `${scheme}://${isIPv6(each) ? `[${each}]` : each}:${port}`);
  };
  return new LookedUpList({ clock, lookUp, maxAgeMs: MAX_AGE_MS, minIntervalMs: MIN_INTERVAL_MS });
}

/** As every other program of this machine resolves it: /etc/hosts, search domains, A and AAAA. */
async function resolveAll(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}

function unresolved(host: string, port: number, cause: unknown): Error {
  const code = codeOf(cause);
  const why =
    code === "EAI_AGAIN" ? "no name server answers" : `it has no address${code === undefined ? "" : ` (${code})`}`;
  const facts = { routers: `dns:///${host}:${port}` };
  return connectionError("ROUTER_UNREACHABLE", `dns:///${host}:${port} cannot be resolved: ${why}.`, { facts, cause });
}
