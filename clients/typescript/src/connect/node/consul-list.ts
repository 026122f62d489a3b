/**
 * `consul://service`: the passing instances of a service. Consul leaves out those in maintenance, which is how a router that drains
 * says so. Asked plainly and not by blocking queries: those would keep a connection, and the process, alive for nothing.
 */

import { codeOf } from "../../errors/error-causes.ts";
import type { Address } from "../address.ts";
import type { Clock } from "../clock.ts";
import { connectionError } from "../connection-error.ts";
import { LookedUpList } from "../looked-up-list.ts";

/** Routers come and go rarely, and one that went is noticed by the call that meets it. */
const MAX_AGE_MS = 5_000;
const MIN_INTERVAL_MS = 1_000;
const ANSWER_TIMEOUT_MS = 5_000;
const ROUTERS_MAX = 256;
/** An instance is 1.4 kB of JSON. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** How Consul is reached, as its own tools read it from the environment. */
export interface ConsulAccess {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string | undefined;
}

export interface ConsulListOptions {
  readonly clock: Clock;
  readonly scheme: "http" | "https";
  readonly access: ConsulAccess;
}

export function consulList(address: Address & { readonly kind: "consul" }, options: ConsulListOptions): LookedUpList {
  const { clock } = options;
  const lookUp = async (closed: AbortSignal): Promise<readonly string[]> => {
    const deadline = new AbortController();
    const timer = clock.after(ANSWER_TIMEOUT_MS, () => deadline.abort());
    try {
      return await ask(address.service, options, AbortSignal.any([closed, deadline.signal]));
    } catch (cause) {
      throw failed(address.service, options.access, deadline.signal.aborted ? "it does not answer" : describe(cause));
    } finally {
      timer.cancel();
    }
  };
  return new LookedUpList({ clock, lookUp, maxAgeMs: MAX_AGE_MS, minIntervalMs: MIN_INTERVAL_MS });
}

async function ask(
  service: string,
  { access, scheme }: ConsulListOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const headers = access.token === undefined ? {} : { "x-consul-token": access.token };
  const url = `${access.url}/v1/health/service/${encodeURIComponent(service)}?passing`;
  const response = await fetch(url, { headers, signal });
  const text = await readText(response);
  if (!response.ok) throw new Refusal(refusalWords(response.status));
  const urls = readInstances(text, scheme);
  if (urls.length === 0) throw new Refusal("it knows no passing instance (does its token read services and nodes?)");
  return urls;
}

/** For its words alone. */
class Refusal extends Error {}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Refusal("its answer is too long");
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** What cannot be called is left out. */
function readInstances(text: string, scheme: string): readonly string[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    // Not JSON at all: said below.
  }
  if (!Array.isArray(entries))
    throw new Refusal("its answer is no list of services: is this Consul, or a proxy before it?");
  const urls = (entries as readonly Instance[]).flatMap((entry) => urlOf(entry, scheme) ?? []);
  return [...new Set(urls)].slice(0, ROUTERS_MAX);
}

/** The part of an entry that is read; anybody may have written it. */
interface Instance {
  readonly Node?: { readonly Address?: unknown };
  readonly Service?: { readonly Address?: unknown; readonly Port?: unknown };
}

function urlOf(entry: Instance | null, scheme: string): string | undefined {
  const host = entry?.Service?.Address || entry?.Node?.Address;
  const port = entry?.Service?.Port;
  if (typeof host !== "string" || typeof port !== "number") return undefined;
  const url = `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return port > 0 && URL.canParse(url) ? new URL(url).origin : undefined;
}

function refusalWords(status: number): string {
  if (status === 401 || status === 403) return `it refuses the token (HTTP ${status}; CONSUL_HTTP_TOKEN)`;
  return status >= 500
    ? `it cannot answer (HTTP ${status}; has it a leader?)`
    : `it refuses the question (HTTP ${status})`;
}

function describe(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "nothing listens there";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "its host name does not resolve";
  return `the question failed${code === undefined ? "" : ` (${code})`}`;
}

function failed(service: string, { url }: ConsulAccess, why: string): Error {
  const facts = { routers: `consul://${service}` };
  return connectionError("ROUTER_UNREACHABLE", `Consul at ${url} was asked for ${service}: ${why}.`, { facts });
}
