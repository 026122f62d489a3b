/**
 * Where this router looks for agents: a list of its own, a file, Consul, or several of them at once. It decides who is asked, and
 * nothing about what they say.
 */
import { readFileSync } from "node:fs";
import {
  type Clock,
  ConfigError,
  consulAccess,
  type Env,
  formatHostPort,
  type Lifecycle,
  type Logger,
  type Rng,
} from "@drover/platform";
import {
  createConsulSource,
  createNodesFileSource,
  createStaticSource,
  type MembershipSource,
  openConsulHttp,
  parseNodesFile,
} from "@drover/routing";
import { AGENT_PORT, type RouterConfig } from "./config.ts";

export interface DiscoverySurroundings {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly env: Env;
  readonly lifecycle: Lifecycle;
  /** Whether the agent at this endpoint is attached and talks. */
  readonly isAttached: (endpoint: string) => boolean;
}

/** Never empty. Throws a ConfigError where a file is named that cannot be used. */
export function createSources(config: RouterConfig, surroundings: DiscoverySurroundings): readonly MembershipSource[] {
  const { clock, log } = surroundings;
  const sources: MembershipSource[] = [];
  if (config.nodesFile !== undefined) {
    checkNodesFile(config.nodesFile);
    sources.push(createNodesFileSource({ path: config.nodesFile, defaultPort: AGENT_PORT, clock, log }));
  }
  if (config.consul !== undefined) sources.push(openConsul(config.consul, surroundings));
  if (config.nodes.length > 0 || sources.length === 0) {
    sources.push(createStaticSource(config.nodes.map(formatHostPort)));
  }
  return sources;
}

function openConsul(url: string, { env, lifecycle, ...rest }: DiscoverySurroundings): MembershipSource {
  const reader = openConsulHttp(consulAccess(url, env), rest.clock);
  lifecycle.onStop("connection to Consul", () => reader.close());
  return createConsulSource({ ...rest, reader });
}

/** Later the last good list stands; at the start there is none. */
function checkNodesFile(path: string): void {
  const file = readNodesFile(path);
  if ("problem" in file) throw new ConfigError(`--nodes-file ${path}: ${file.problem}.`);
}

function readNodesFile(path: string): ReturnType<typeof parseNodesFile> {
  try {
    return parseNodesFile(readFileSync(path, "utf8"), AGENT_PORT);
  } catch (error) {
    return { problem: `cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})` };
  }
}
