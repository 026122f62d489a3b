/**
 * The flags of `drover-router`: their meaning, defaults and limits. It starts nothing.
 */
import {
  advertiseOption,
  COMMON_VARIABLES,
  type ConfigOf,
  commonOptions,
  consulOption,
  defineConfig,
  drainLimitOption,
  durationMs,
  type HostPort,
  hostPort,
  listOption,
  oneOf,
  option,
  origin,
  text,
} from "@drover/platform";
import { AGENT_PORT, POLICY_NAMES } from "@drover/routing";
import { failureFlags, failureProblems } from "./failure-flags.ts";
import { VERSION } from "./version.ts";

const common = commonOptions({ listen: "127.0.0.1:50051", opsListen: "127.0.0.1:50059", program: "router" });

export const routerConfig = defineConfig({
  name: "drover-router",
  version: VERSION,
  summary: "Takes gRPC calls for Ollama models and sends each to a node that has the model.",
  examples: [
    "drover-router --nodes 127.0.0.1:50052",
    "drover-router --nodes gpu-1:50052,gpu-2:50052 --policy least-connections",
    "drover-router --consul",
    "drover-router --listen 0.0.0.0:50051 --insecure --nodes gpu-1:50052",
    "DROVER_NODES=gpu-1:50052 DROVER_MAX_WAIT=30s drover-router --log-level debug",
  ],
  variables: COMMON_VARIABLES,
  // One by one, because a router has no labels that anybody could ask for, and in the order of --help.
  options: {
    listen: common.listen,
    opsListen: common.opsListen,
    nodes: listOption({
      flag: "nodes",
      value: "HOST:PORT",
      schema: hostPort(AGENT_PORT),
      group: "Discovery",
      help: `The agents of the fleet; without a port ${AGENT_PORT}.`,
    }),
    nodesFile: option({
      flag: "nodes-file",
      value: "FILE",
      schema: text(4096),
      group: "Discovery",
      help: "A file with the agents of the fleet, one on each line; read again when it changes.",
    }),
    nodesDns: listOption({
      flag: "nodes-dns",
      value: "NAME:PORT",
      schema: hostPort(AGENT_PORT),
      group: "Discovery",
      help: `A name whose addresses in DNS are agents, asked every 30 s; without a port ${AGENT_PORT}.`,
    }),
    consul: consulOption("Finds the agents that Consul lists, and registers this router there, where clients find it."),
    advertise: advertiseOption(),
    policy: option({
      flag: "policy",
      value: "NAME",
      schema: oneOf(POLICY_NAMES),
      default: "weighted",
      group: "Placing",
      help: `How a node is chosen among those that can take a call: ${POLICY_NAMES.join(", ")}.`,
    }),
    maxWaitMs: option({
      flag: "max-wait",
      value: "DURATION",
      schema: durationMs(),
      default: "120s",
      group: "Placing",
      help: "Longest time that a call waits for a node, where the caller does not say drover-max-wait-ms.",
    }),
    ...failureFlags,
    isInsecure: common.isInsecure,
    adminTokenFile: common.adminTokenFile,
    allowHosts: common.allowHosts,
    corsOrigins: listOption({
      flag: "cors-origin",
      value: "ORIGIN",
      schema: origin(),
      group: "Safety",
      help: "The origin of web pages, as https://app.example, whose scripts may call; * allows all.",
    }),
    name: common.name,
    stateDir: common.stateDir,
    drainLimitMs: drainLimitOption(),
    logLevel: common.logLevel,
    config: common.config,
  },
  check: (config) => [
    ...portProblems("--nodes", config.nodes),
    ...portProblems("--nodes-dns", config.nodesDns),
    ...failureProblems(config),
  ],
});

export type RouterConfig = ConfigOf<typeof routerConfig>;

function portProblems(flag: string, addresses: readonly HostPort[]): readonly string[] {
  return addresses
    .filter(({ port }) => port === 0)
    .map(({ host }) => `${flag} ${host}:0: nobody can be called at port 0`);
}
