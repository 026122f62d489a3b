/**
 * Addresses of a host name as every program on this machine gets them: hosts file, search domains and all (getaddrinfo). It knows
 * nothing of when to ask.
 */
import { lookup } from "node:dns/promises";
import type { DnsAnswer } from "../discovery/dns-source.ts";

export async function lookUpAddresses(host: string): Promise<DnsAnswer> {
  try {
    const found = await lookup(host, { all: true });
    return { kind: "addresses", addresses: found.map(({ address }) => address) };
  } catch (error) {
    return { kind: "failed", reason: describe((error as NodeJS.ErrnoException).code) };
  }
}

function describe(code: string | undefined): string {
  switch (code) {
    case "ENOTFOUND":
      return "no such name";
    case "EAI_AGAIN":
      return "no name server answers";
    default:
      return `the lookup failed (${code ?? "unknown cause"})`;
  }
}
