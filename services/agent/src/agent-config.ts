/** The flags of `drover-agent`: their meaning, defaults and limits. It starts nothing. */
import {
  advertiseOption,
  COMMON_VARIABLES,
  type ConfigOf,
  commonOptions,
  consulOption,
  defineConfig,
  drainLimitOption,
  durationMs,
  integer,
  ollamaHostUrl,
  oneOf,
  option,
  registrationProblems,
  textSchema,
} from "@drover/platform";
import { VERSION } from "./version.ts";

const common = commonOptions({ listen: "127.0.0.1:50052", opsListen: "127.0.0.1:50060", program: "agent" });

export const agentConfig = defineConfig({
  name: "drover-agent",
  version: VERSION,
  summary: "Stands beside an Ollama and serves its models over gRPC, to routers and to callers.",
  examples: [
    "drover-agent",
    "drover-agent --ollama http://127.0.0.1:11434 --slots 4 --labels gpu=a100,zone=eu",
    "drover-agent --listen 0.0.0.0:50052 --insecure",
    "drover-agent --listen 0.0.0.0:50052 --insecure --consul",
    "DROVER_SLOTS=4 DROVER_STALL_TIMEOUT=30s drover-agent --log-level debug",
  ],
  variables: {
    OLLAMA_HOST: "the Ollama where --ollama names none; 0.0.0.0 there means 127.0.0.1",
    OLLAMA_NUM_PARALLEL: "the slots where --slots names none",
    ...COMMON_VARIABLES,
  },
  // In the order of --help.
  options: {
    listen: common.listen,
    opsListen: common.opsListen,
    ollamaUrl: option({
      flag: "ollama",
      value: "URL",
      schema: ollamaAddress(),
      default: (env) => env["OLLAMA_HOST"] ?? "",
      defaultHelp: "OLLAMA_HOST, else http://127.0.0.1:11434",
      group: "Ollama",
      help: "Where Ollama answers.",
    }),
    slots: option({
      flag: "slots",
      value: "COUNT",
      schema: integer(1, 1024),
      default: (env) => env["OLLAMA_NUM_PARALLEL"] || "1",
      defaultHelp: "OLLAMA_NUM_PARALLEL of this process, else 1",
      group: "Ollama",
      help: "Calls that one model answers at a time; the same as OLLAMA_NUM_PARALLEL of that Ollama.",
    }),
    numCtx: option({
      flag: "num-ctx",
      value: "TOKENS",
      schema: integer(4, 10_000_000),
      defaultHelp: "Ollama's own setting",
      group: "Ollama",
      help: "Context for calls that name none.",
    }),
    consul: consulOption("Registers this node in Consul, where routers find it."),
    registration: option({
      flag: "registration",
      value: "WHERE",
      schema: oneOf(["consul", "none"]),
      defaultHelp: "consul where --consul is given, else none",
      group: "Discovery",
      help: "Who tells the fleet of this node: consul, or none where something else does (Kubernetes, a list of --nodes).",
    }),
    advertise: advertiseOption(),
    queueLimit: option({
      flag: "queue-limit",
      value: "COUNT",
      schema: integer(1, 100_000),
      default: "256",
      group: "Placing",
      help: "Calls that may wait for this node; more are refused.",
    }),
    baseWeight: option({
      flag: "weight",
      value: "WEIGHT",
      schema: integer(1, 65_535),
      default: "100",
      group: "Placing",
      help: "This node's share of the work, per slot, relative to other nodes.",
    }),
    firstTokenTimeoutMs: option({
      flag: "first-token-timeout",
      value: "DURATION",
      schema: durationMs({ minMs: 1 }),
      default: "300s",
      group: "Failing",
      help: "How long Ollama may read a prompt before the call is given up; queue and loading do not count.",
    }),
    stallTimeoutMs: option({
      flag: "stall-timeout",
      value: "DURATION",
      schema: durationMs({ minMs: 1 }),
      default: "60s",
      group: "Failing",
      help: "How long Ollama may be silent between two tokens before the call is given up.",
    }),
    isInsecure: common.isInsecure,
    adminTokenFile: common.adminTokenFile,
    allowHosts: common.allowHosts,
    name: common.name,
    labels: common.labels,
    stateDir: common.stateDir,
    drainLimitMs: drainLimitOption(),
    logLevel: common.logLevel,
    config: common.config,
  },
  check: ({ consul, registration, listen, advertise }) => {
    if (registration === "none") return [];
    if (registration === "consul" && consul === undefined) return ["--registration consul: needs --consul as well"];
    return registrationProblems(consul, listen, advertise);
  },
});

export type AgentConfig = ConfigOf<typeof agentConfig>;

function ollamaAddress(): ReturnType<typeof textSchema<string>> {
  return textSchema((text) => {
    const value = ollamaHostUrl(text);
    return value === undefined ? { problem: "the address of an Ollama, as http://127.0.0.1:11434" } : { value };
  });
}
