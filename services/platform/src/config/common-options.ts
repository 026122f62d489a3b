/**
 * The options that router and agent share, so that one flag means one thing in both. Each program adds its own to them.
 */
import { hostname } from "node:os";
import { CONSUL_HTTP_PORT, consulAddressOf } from "../consul-access.ts";
import type { HostPort } from "../host-port.ts";
import { LOG_LEVELS } from "../log.ts";
import { listOption, type Option, option, switchOption } from "./define.ts";
import { consulUrl, durationMs, hostPort, hostPortText, labels, oneOf, text } from "./values.ts";

export interface CommonDefaults {
  /** `HOST:PORT` of --listen. */
  readonly listen: string;
  /** `HOST:PORT` of --ops-listen. */
  readonly opsListen: string;
  /** `router` or `agent`: the start of the state directory's name. */
  readonly program: string;
}

export function commonOptions(defaults: CommonDefaults) {
  return { ...networkOptions(defaults), ...identityOptions(defaults), ...safetyOptions(), ...otherOptions() };
}

/**
 * `--consul [ADDRESS]`, as a URL, undefined without the flag; `help` is what this program does with Consul. Only the flag (or
 * DROVER_CONSUL) switches Consul on: CONSUL_HTTP_ADDR stands in many shells for other reasons.
 */
export function consulOption(help: string): Option<string | undefined> {
  return option({
    flag: "consul",
    value: "ADDRESS",
    schema: consulUrl(),
    defaultHelp: `off; without a value CONSUL_HTTP_ADDR, else 127.0.0.1:${CONSUL_HTTP_PORT}`,
    bare: consulAddressOf,
    group: "Discovery",
    help,
  });
}

/** `--advertise HOST[:PORT]`; port 0 in the result: the port on which the program listens. */
export function advertiseOption(): Option<HostPort | undefined> {
  return option({
    flag: "advertise",
    value: "HOST:PORT",
    schema: hostPort(0),
    group: "Discovery",
    defaultHelp: "where it listens",
    help: "Where others reach this program, when that is not where it listens; published in Consul.",
  });
}

/** `--drain-limit`, in ms. */
export function drainLimitOption(): Option<number> {
  return option({
    flag: "drain-limit",
    value: "DURATION",
    schema: durationMs({ minMs: 0, maxMs: 3_600_000 }),
    default: "90s",
    group: "Operations",
    help: "How long running calls may take to end when this program stops; a second signal ends them at once.",
  });
}

/** For `variables` of programs that take these options. */
export const COMMON_VARIABLES: Readonly<Record<string, string>> = {
  CONSUL_HTTP_ADDR: "the Consul of a --consul without a value",
  CONSUL_HTTP_TOKEN: "the token for it; CONSUL_HTTP_TOKEN_FILE names a file with it",
  OTEL_EXPORTER_OTLP_ENDPOINT: "where traces go, as http://127.0.0.1:4318; OpenTelemetry's other variables hold too",
  XDG_STATE_HOME: "where state directories are, in place of ~/.local/state",
};

function networkOptions(defaults: CommonDefaults) {
  return {
    listen: option({
      flag: "listen",
      value: "HOST:PORT",
      schema: hostPortText(),
      default: defaults.listen,
      group: "Listening",
      help: "Where callers reach this program; port 0 takes a free one. Other addresses than loopback need --insecure.",
    }),
    opsListen: option({
      flag: "ops-listen",
      value: "HOST:PORT",
      schema: hostPortText(),
      default: defaults.opsListen,
      group: "Listening",
      help: "Where operators and probes read /healthz, /readyz and /metrics, and ask for health in gRPC.",
    }),
  };
}

function identityOptions(defaults: CommonDefaults) {
  return {
    name: option({
      flag: "name",
      value: "NAME",
      schema: text(64),
      default: () => hostname(),
      defaultHelp: "the name of this machine",
      group: "Identity",
      help: "How this program is called by people, logs and drover-node.",
    }),
    labels: option({
      flag: "labels",
      value: "KEY=VALUE,…",
      schema: labels(),
      default: "",
      group: "Identity",
      help: "What callers may ask for, as gpu=a100,zone=eu.",
    }),
    stateDir: option({
      flag: "state-dir",
      value: "DIRECTORY",
      schema: text(4096),
      defaultHelp: `~/.local/state/drover/${defaults.program}-PORT`,
      group: "Identity",
      help: "Holds the id that survives restarts; one program at a time.",
    }),
  };
}

function safetyOptions() {
  return {
    isInsecure: switchOption({
      flag: "insecure",
      group: "Safety",
      help: "Lets listeners without TLS stand on other addresses than loopback, where anybody may use them.",
    }),
    adminTokenFile: option({
      flag: "admin-token-file",
      value: "FILE",
      schema: text(4096),
      group: "Safety",
      help: "Holds the token that callers need to change things (authorization: Bearer …), also on this machine.",
    }),
    allowHosts: listOption({
      flag: "allow-host",
      value: "NAME",
      schema: text(253),
      group: "Safety",
      help: "Host names that HTTP/1.1 callers may use beside localhost and IP addresses.",
    }),
  };
}

function otherOptions() {
  return {
    logLevel: option({
      flag: "log-level",
      value: "LEVEL",
      schema: oneOf(LOG_LEVELS),
      default: "info",
      group: "Operations",
      help: "One of debug, info, warn, error, silent.",
    }),
    config: option({
      flag: "config",
      value: "FILE",
      schema: text(4096),
      group: "Operations",
      help: "A YAML file with these options, named as the flags without dashes.",
    }),
  };
}
