/**
 * The configuration of a provider over a router. Most of what a fleet can be told is the router's own there: that is said, never
 * ignored.
 */
import type { DroverClient, DroverClientOptions } from "../client/drover-client.ts";
import type { ConnectOptions } from "../connect/connect-options.ts";
import { describeUnknown } from "../errors/describe-unknown.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import { CONFIG_NAMES } from "./config-names.ts";
import type { ProviderSource } from "./provider-port.ts";

/** Over a router. `loadBalancing`, `healthCheck` and `connectionPool` are refused: they are the router's flags. */
export interface RouterProviderConfig {
  readonly discovery?: RouterDiscovery | undefined;
  readonly security?: RouterSecurity | undefined;
  /** The router's `--policy`. */
  readonly loadBalancing?: undefined;
  /** The router's `--eject-after`, `--eject-time`, `--eject-time-max` and `--eject-share`. */
  readonly healthCheck?: undefined;
  /** The router holds the connections to agents. */
  readonly connectionPool?: undefined;
}

export interface RouterDiscovery {
  /** Where routers listen, one or several, as `address` of createDroverClient. Default `http://127.0.0.1:50051`. */
  readonly router?: ConnectOptions["address"];
}

/** As in createDroverClient. Default: no token, no TLS. */
export type RouterSecurity = Pick<ConnectOptions, "token" | "allowInsecureToken" | "tls">;

const ROUTERS_OWN = {
  loadBalancing: "start it with --policy",
  healthCheck: "start it with --eject-after, --eject-time, --eject-time-max, --eject-share",
  connectionPool: "it holds the connections to agents",
} as const;

const AGENTS_OWN: ReadonlySet<string> = new Set(["static", "consul", "dns"]);

/** Throws a DroverError that names all that is wrong. Opens no connection. */
export function routerSource(
  config: RouterProviderConfig,
  createClient: (options: DroverClientOptions) => DroverClient,
): ProviderSource {
  const { discovery = {}, security = {}, ...rest } = config;
  const problems = [
    ...problemsOf(rest),
    ...discoveryProblems(discovery),
    ...describeUnknown("security", Object.keys(security), SECURITY),
  ];
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  const { router: address } = discovery;
  // It reads addresses, token and certificates, and connects to nobody before its first call.
  const client = createClient({ ...security, address });
  const routers = [address ?? "http://127.0.0.1:50051"].flat().join(", ");
  return { target: `router ${routers}`, open: () => ({ client }) };
}

const SECURITY = ["token", "allowInsecureToken", "tls"];

function problemsOf(rest: object): readonly string[] {
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const owned = given.flatMap(([name]) =>
    name in ROUTERS_OWN ? [`${name} is the router's: ${ROUTERS_OWN[name as keyof typeof ROUTERS_OWN]}.`] : [],
  );
  const hint = owned.length === 0 ? [] : ["Without a router @drover/client/direct takes them."];
  return [...owned, ...hint, ...describeUnknown("", Object.keys(rest), CONFIG_NAMES)];
}

function discoveryProblems(discovery: object): readonly string[] {
  const names = Object.keys(discovery);
  const foreign = names
    .filter((name) => AGENTS_OWN.has(name))
    .map(
      (name) =>
        `discovery.${name} finds agents, and this provider asks a router: name it in discovery.router, or use @drover/client/direct.`,
    );
  const own = names.filter((name) => !AGENTS_OWN.has(name));
  return [...foreign, ...describeUnknown("discovery", own, ["router"])];
}
