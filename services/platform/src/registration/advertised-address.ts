/**
 * Under which address others reach this program, and whether that address may be published: one that leads every reader back to
 * itself would hide the program and hurt who tries it.
 */
import { networkInterfaces } from "node:os";
import { formatHostPort, type HostPort, isLoopbackHost, isWildcardHost, parseHostPort } from "../host-port.ts";

export interface AddressFacts {
  /** Where it listens, as bound. */
  readonly listen: HostPort;
  /** `--advertise`, where given. */
  readonly advertise: HostPort | undefined;
  readonly isConsulHere: boolean;
}

export interface AdvertisedAddress {
  /** Undefined: the address by which Consul knows the machine. */
  readonly host: string | undefined;
  readonly port: number;
}

export type Advertised = AdvertisedAddress | { readonly problem: string };

/** `listen` may be a wildcard only beside a Consul on this machine: that Consul knows an address of the machine. */
export function advertisedAddress({ listen, advertise, isConsulHere }: AddressFacts): Advertised {
  if (advertise !== undefined) {
    // A test of several programs on one machine publishes 127.0.0.1 in the Consul beside it.
    if (!isConsulHere || isWildcardHost(advertise.host)) {
      const problem = unreachable(advertise.host, "--advertise");
      if (problem !== undefined) return { problem };
    }
    return { host: advertise.host, port: advertise.port === 0 ? listen.port : advertise.port };
  }
  if (isConsulHere) return { host: isWildcardHost(listen.host) ? undefined : listen.host, port: listen.port };
  const problem = unreachable(listen.host, "--listen");
  return problem === undefined ? { host: listen.host, port: listen.port } : { problem };
}

function unreachable(host: string, flag: string): string | undefined {
  if (!isLoopbackHost(host) && !isWildcardHost(host)) return undefined;
  const meant = isWildcardHost(host) ? "no address that others could call" : "this machine to whoever reads it";
  return `${flag} ${host} means ${meant}, and Consul is on another machine: give the address of this one with --advertise HOST:PORT.`;
}

/** Whether the Consul at `url` runs on this machine, by its address; a name other than localhost is taken for another machine. */
export function isOnThisMachine(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  if (isLoopbackHost(host)) return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host));
}

export interface CheckFacts {
  readonly advertised: AdvertisedAddress;
  readonly listen: HostPort;
  /** As bound; undefined: there is no operators' listener. */
  readonly opsAddress: string | undefined;
  readonly isConsulHere: boolean;
}

/** Where Consul itself may ask for health: the operators' port from this machine, else the published address. */
export function grpcCheckAddress({ advertised, listen, opsAddress, isConsulHere }: CheckFacts): string | undefined {
  const ops = opsAddress === undefined ? undefined : parseHostPort(opsAddress);
  if (isConsulHere && ops !== undefined) {
    return formatHostPort({ host: isWildcardHost(ops.host) ? "127.0.0.1" : ops.host, port: ops.port });
  }
  if (isConsulHere) return formatHostPort({ host: advertised.host ?? "127.0.0.1", port: advertised.port });
  // Something else stands at the published address, a proxy or a mesh, and what it speaks is not known here.
  if (advertised.host === undefined || isLoopbackHost(listen.host)) return undefined;
  return formatHostPort({ host: advertised.host, port: advertised.port });
}
