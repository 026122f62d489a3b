/** Addresses to a transport where there is only `fetch`: browsers, Bun, Deno. */

import { invalidArgument } from "../errors/drover-error.ts";
import { type Address, parseAddresses } from "./address.ts";
import { runtimeClock, runtimeRng } from "./clock.ts";
import type { ConnectOptions, OpenedTransport } from "./connect-options.ts";
import { joinTransport } from "./join-transport.ts";
import { openWebRouter } from "./web-router.ts";

/** Opens no connection yet. Throws when the options cannot work. */
export function openWebTransport(options: ConnectOptions): OpenedTransport {
  const addresses = parseAddresses(options.address, false);
  const problems = [
    ...addresses.flatMap(problemOf),
    ...(options.tls === undefined ? [] : ["tls is for Node: here the runtime decides whom to trust. Leave it out."]),
  ];
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  const urls = addresses.flatMap((address) => (address.kind === "router" ? [address.url] : []));
  return joinTransport({ ...options, clock: runtimeClock, rng: runtimeRng, urls, lists: [], open: openWebRouter });
}

function problemOf(address: Address): string[] {
  if (address.kind === "router") return [];
  return [`${address.kind}: addresses need Node, since nothing here can ask ${WHOM[address.kind]}: name the routers.`];
}

const WHOM = { consul: "Consul", dns: "a name server" } as const;
