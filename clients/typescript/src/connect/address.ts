/**
 * Addresses as people write them, read without asking anybody. All that is wrong with them is said at once.
 */
import { invalidArgument } from "../errors/drover-error.ts";

export const DEFAULT_PORT = 50_051;
const DEFAULT_ADDRESS = `127.0.0.1:${DEFAULT_PORT}`;
const CONSUL_HTTP_PORT = 8500;
/** A client holds a connection to some of them; nobody runs more routers than this. */
const ADDRESSES_MAX = 256;

export type Address =
  /** `url` without a slash at its end. */
  | { readonly kind: "router"; readonly url: string }
  | { readonly kind: "dns"; readonly host: string; readonly port: number }
  /** `consul` is `host:port`; undefined: the one that the environment names. */
  | { readonly kind: "consul"; readonly service: string; readonly consul: string | undefined };

type Read = Address | { readonly kind: "wrong"; readonly problem: string };

/** Without doubles. `isTls`: an address that does not name its scheme is https. */
export function parseAddresses(given: string | readonly string[] | undefined, isTls: boolean): readonly Address[] {
  const texts = typeof given === "string" ? [given] : (given ?? [DEFAULT_ADDRESS]);
  if (texts.length === 0)
    throw invalidArgument("No address: the list is empty. Leave it out for this machine's router.");
  if (texts.length > ADDRESSES_MAX)
    throw invalidArgument(`${texts.length} addresses: at most ${ADDRESSES_MAX} are read.`);
  const read = texts.map((text) => readAddress(text, isTls));
  const problems = read.flatMap((each) => (each.kind === "wrong" ? [each.problem] : []));
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  const addresses = read.filter((each) => each.kind !== "wrong");
  return [...new Map(addresses.map((address) => [JSON.stringify(address), address])).values()];
}

function readAddress(given: string, isTls: boolean): Read {
  if (typeof given !== "string") return { kind: "wrong", problem: `Address ${String(given)}: is not text.` };
  const text = given.trim();
  if (text === "") return wrong(given, "is empty.");
  if (text.includes(",")) return wrong(given, "holds a comma: give several addresses as a list of texts.");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase() ?? (/^dns:/i.test(text) ? "dns" : "");
  switch (scheme) {
    case "":
      return readHostPort(given, text, isTls);
    case "http":
    case "https":
      return readUrl(given, text, isTls);
    case "dns":
      return readDns(given, text);
    case "consul":
      return readConsul(given, text);
    default:
      return wrong(given, `has the scheme ${scheme}: known are http, https, consul and dns.`);
  }
}

function readHostPort(given: string, text: string, isTls: boolean): Read {
  const parts = hostAndPort(text);
  if (parts === undefined) return wrong(given, "is no host:port. IPv6 goes into brackets: [::1]:50051.");
  if ("problem" in parts) return wrong(given, parts.problem);
  return readUrl(given, `${isTls ? "https" : "http"}://${parts.host}:${parts.port ?? DEFAULT_PORT}`, isTls);
}

function readUrl(given: string, text: string, isTls: boolean): Read {
  if (!URL.canParse(text)) return wrong(given, "is no URL.");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return wrongSecret(url);
  if (url.search !== "" || url.hash !== "") return wrong(given, "has a ? or # part: an address has none.");
  if (url.port === "0") return wrong(given, "has port 0.");
  if (isTls && url.protocol === "http:") return wrong(given, "is http, and tls is given: write https.");
  return { kind: "router", url: `${url.origin}${url.pathname}`.replace(/\/+$/, "") };
}

/** gRPC's own form: `dns:///host:port`, also `dns:host:port` (doc/naming.md). */
function readDns(given: string, text: string): Read {
  const name = /^dns:(?:\/\/\/)?([^/]+)$/i.exec(text)?.[1];
  if (name === undefined) return wrong(given, "is not dns:///name:port: three slashes, and no name server in it.");
  const parts = hostAndPort(name);
  if (parts === undefined) return wrong(given, "holds no name:port.");
  if ("problem" in parts) return wrong(given, parts.problem);
  return { kind: "dns", host: parts.host.replace(/^\[|\]$/g, ""), port: parts.port ?? DEFAULT_PORT };
}

function readConsul(given: string, text: string): Read {
  const match = /^consul:\/\/([^/]+)(?:\/([^/]*))?\/?$/i.exec(text);
  const [first, second] = [match?.[1], match?.[2]];
  const expected = "is not consul://service or consul://host:8500/service.";
  if (first === undefined) return wrong(given, expected);
  if (second === undefined || second === "") {
    if (first.includes(":"))
      return wrong(given, `names a Consul and no service: write consul://${first}/drover-router.`);
    return isService(first) ? { kind: "consul", service: first, consul: undefined } : wrong(given, expected);
  }
  const parts = hostAndPort(first);
  if (parts === undefined || !isService(second)) return wrong(given, expected);
  if ("problem" in parts) return wrong(given, parts.problem);
  return { kind: "consul", service: second, consul: `${parts.host}:${parts.port ?? CONSUL_HTTP_PORT}` };
}

interface HostAndPort {
  /** IPv6 in brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

/** Undefined where it is not even the form of one. */
function hostAndPort(text: string): HostAndPort | { readonly problem: string } | undefined {
  // An IPv6 address without brackets cannot have a port.
  if (/^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text))
    return isHost(`[${text}]`) ? { host: `[${text}]`, port: undefined } : undefined;
  const match = /^(\[[^\]]+\]|[^:[\]/?#@\s]+)(?::(.*))?$/.exec(text);
  const [host, port] = [match?.[1], match?.[2]];
  if (host === undefined || !isHost(host)) return undefined;
  if (port === undefined) return { host, port: undefined };
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) return { problem: `has port "${port}": a port is a number from 1 to 65535.` };
  return { host, port: number };
}

function isHost(host: string): boolean {
  return URL.canParse(`http://${host}`) && (host.startsWith("[") || /^[A-Za-z0-9._-]+$/.test(host));
}

/** Consul's own rule for names that work in its DNS, and underscores, which it takes all the same. */
function isService(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,128}$/.test(name);
}

function wrong(given: string, problem: string): Read {
  return { kind: "wrong", problem: `Address "${given}" ${problem}` };
}

/** Not quoted: it holds a password. */
function wrongSecret(url: URL): Read {
  return { kind: "wrong", problem: `The address of ${url.host} has a user or password in it: use token instead.` };
}

/** 127.0.0.0/8, ::1 and the names that always mean them: what is sent there does not leave the machine. */
export function isLoopbackUrl(text: string): boolean {
  const { hostname } = new URL(text);
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    /^127(\.\d+){3}$/.test(hostname) ||
    hostname === "[::1]"
  );
}
