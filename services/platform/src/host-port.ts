/**
 * Addresses as people write them, `host:port` and `[ipv6]:port`, and which of them cannot be reached from another machine.
 * It opens and resolves nothing.
 */
import { isIP, isIPv4, isIPv6 } from "node:net";

export interface HostPort {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  /** 0..65535; 0 lets the system choose, where listening. */
  readonly port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?$/;

/** The address, or undefined when it is not one. Without a port only where `defaultPort` is given. */
export function parseHostPort(text: string, defaultPort?: number): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port === undefined || port > 65_535) return undefined;
  const isHost =
    match?.[1] === undefined ? isIPv4(host) || (HOST_NAME.test(host) && !/^[\d.]+$/.test(host)) : isIPv6(host);
  return isHost ? { host, port } : undefined;
}

export function formatHostPort(address: HostPort): string {
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

/** 127.0.0.0/8, ::1, also as IPv4-mapped IPv6, and the names that always mean them. */
export function isLoopbackHost(host: string): boolean {
  const plain = plainAddress(host).toLowerCase();
  if (isIP(plain) === 0) return plain === "localhost" || plain.endsWith(".localhost");
  return isIPv4(plain) ? plain.startsWith("127.") : plain === "::1" || plain === "0:0:0:0:0:0:0:1";
}

/** True for 0.0.0.0 and ::, which mean "all addresses" where listening and nothing where connecting. */
export function isWildcardHost(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "0:0:0:0:0:0:0:0";
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:10.0.0.1`, as IPv4; all else as it is. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}
