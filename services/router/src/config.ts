/**
 * The flags of `drover-router`: their meaning, defaults and limits. It starts nothing.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import {
  type ConfigOf,
  defineConfig,
  durationMs,
  hostPort,
  hostPortText,
  LOG_LEVELS,
  listOption,
  oneOf,
  option,
  origin,
  switchOption,
  text,
  textSchema,
} from "@drover/platform";
import { POLICY_NAMES } from "@drover/routing";
import { VERSION } from "./version.ts";

/** Where agents listen unless they are told otherwise. */
const AGENT_PORT = 50_052;

export const routerConfig = defineConfig({
  name: "drover-router",
  version: VERSION,
  summary: "Takes gRPC calls for Ollama models and sends each to a node that has the model.",
  examples: [
    "drover-router --nodes 127.0.0.1:50052",
    "drover-router --nodes gpu-1:50052,gpu-2:50052 --policy least-connections",
    "drover-router --listen 0.0.0.0:50051 --insecure --nodes gpu-1:50052",
  ],
  options: {
    listen: option({
      flag: "listen",
      value: "HOST:PORT",
      schema: hostPortText(),
      default: "127.0.0.1:50051",
      group: "Network",
      help: "Where callers reach this router; port 0 takes any free one.",
    }),
    opsListen: option({
      flag: "ops-listen",
      value: "HOST:PORT",
      schema: hostPortText(),
      default: "127.0.0.1:50059",
      group: "Network",
      help: "Where operators reach /healthz and /readyz.",
    }),
    advertise: option({
      flag: "advertise",
      value: "HOST:PORT",
      schema: hostPortText(),
      defaultHelp: "the address that it listens on",
      group: "Network",
      help: "The address that this router tells as its own when it is ready, where --listen names none that others can use.",
    }),
    isInsecure: switchOption({
      flag: "insecure",
      group: "Network",
      help: "Allows to listen without TLS on addresses that other machines reach.",
    }),
    allowHosts: listOption({
      flag: "allow-host",
      value: "NAME",
      schema: text(),
      group: "Network",
      help: "A host name that HTTP/1.1 callers may use for this router, beside localhost and IP addresses.",
    }),
    corsOrigins: listOption({
      flag: "cors-origin",
      value: "ORIGIN",
      schema: origin(),
      group: "Network",
      help: "A web page's origin, as https://app.example, that may call from a browser; * allows all.",
    }),
    nodes: listOption({
      flag: "nodes",
      value: "HOST:PORT",
      schema: hostPort(AGENT_PORT),
      group: "Fleet",
      help: `The agents of the fleet; without a port ${AGENT_PORT}.`,
    }),
    policy: option({
      flag: "policy",
      value: "NAME",
      schema: oneOf(POLICY_NAMES),
      default: "weighted",
      group: "Fleet",
      help: `How a node is chosen among those that can take a call: ${POLICY_NAMES.join(", ")}.`,
    }),
    maxWaitMs: option({
      flag: "max-wait",
      value: "DURATION",
      schema: durationMs(),
      default: "120s",
      group: "Fleet",
      help: "Longest time that a call waits for a node, where the caller does not say drover-max-wait-ms.",
    }),
    name: option({
      flag: "name",
      value: "NAME",
      schema: text(),
      default: () => hostname(),
      defaultHelp: "this machine's name",
      group: "Program",
      help: "What agents and operators call this router.",
    }),
    adminToken: option({
      flag: "admin-token-file",
      value: "FILE",
      schema: tokenFile(),
      group: "Program",
      help: "A file with the secret for calls that change things; this router shows it to agents, too. Without it only callers on this machine may change things.",
    }),
    stateDir: option({
      flag: "state-dir",
      value: "FOLDER",
      schema: text(4096),
      defaultHelp: "~/.local/state/drover/router-PORT, or under $XDG_STATE_HOME",
      group: "Program",
      help: "Kept by this router alone while it runs.",
    }),
    logLevel: option({
      flag: "log-level",
      value: "LEVEL",
      schema: oneOf(LOG_LEVELS),
      default: "info",
      group: "Program",
      help: `What is written to standard error: ${LOG_LEVELS.join(", ")}.`,
    }),
    configFile: option({
      flag: "config",
      value: "FILE",
      schema: text(4096),
      group: "Program",
      help: "A YAML file with the same keys as the flags, without dashes in front.",
    }),
  },
  check: (config) => [
    ...config.nodes.filter((node) => node.port === 0).map((node) => `--nodes ${node.host}:0: port 0 cannot be called`),
  ],
});

export type RouterConfig = ConfigOf<typeof routerConfig>;

const TOKEN_LENGTH_MAX = 1024;

/** The secret in a file, without the space and line end around it. It has to fit into a header. */
function tokenFile(): ReturnType<typeof textSchema<string>> {
  return textSchema((path) => {
    let token: string;
    try {
      token = readFileSync(path, "utf8").trim();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      return { problem: `a file that can be read (${code})` };
    }
    return token.length <= TOKEN_LENGTH_MAX && /^[\x21-\x7e]+$/.test(token)
      ? { value: token }
      : { problem: `a file with one word of 1 to ${TOKEN_LENGTH_MAX} printable ASCII characters` };
  });
}
