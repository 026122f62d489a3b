/**
 * Where this router looks for agents, as its flags say.
 */
import { readFileSync } from "node:fs";
import { ConfigError, consulAccess, type Env } from "@drover/platform";
import { AGENT_PORT, type DiscoveryOptions, parseNodesFile } from "@drover/routing";
import type { RouterConfig } from "./config.ts";

/** Throws a ConfigError where a file is named that cannot be used. */
export function discoveryOptions(config: RouterConfig, env: Env): DiscoveryOptions {
  const { nodes, nodesFile, nodesDns: dns, consul } = config;
  if (nodesFile !== undefined) checkNodesFile(nodesFile);
  return {
    nodes,
    dns,
    ...(nodesFile === undefined ? {} : { nodesFile }),
    ...(consul === undefined ? {} : { consul: consulAccess(consul, env) }),
  };
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
