/** The process `drover-agent`: flags, environment, state directory, signals and exit code. All else is in build-agent.ts. */
import {
  configOrHelp,
  consulAccess,
  createLogger,
  defaultStateDir,
  type Lifecycle,
  openStateDir,
  parseHostPort,
  type ReadyFacts,
  readAdminToken,
  runProgram,
  startTelemetry,
  systemClock,
  systemRng,
} from "@drover/platform";
import { agentConfig } from "./agent-config.ts";
import { buildAgent } from "./build-agent.ts";
import { VERSION } from "./version.ts";

const NAME = "drover-agent";

/** For what comes after the running answers: leaving Consul, closing Ollama's connections. */
const STOP_MARGIN_MS = 5_000;

async function main(lifecycle: Lifecycle): Promise<ReadyFacts | undefined> {
  const env = process.env;
  const print = (text: string): void => void process.stdout.write(text);
  const config = configOrHelp(agentConfig, { argv: process.argv.slice(2), env, print });
  if (config === undefined) return undefined;
  const log = createLogger({ name: NAME, level: config.logLevel });
  lifecycle.useLog(log);
  const dir = config.stateDir ?? defaultStateDir("agent", parseHostPort(config.listen)?.port ?? 0, env);
  const stateDir = openStateDir({ dir, log });
  lifecycle.onStop("state directory", () => stateDir.release());
  const adminToken = readAdminToken(config.adminTokenFile);
  const isRegistered = config.consul !== undefined && config.registration !== "none";
  const settings = {
    ...config,
    nodeId: stateDir.nodeId,
    stateDir,
    isInsecureAllowed: config.isInsecure,
    adminToken,
    consul: isRegistered ? consulAccess(config.consul, env) : undefined,
  };
  const telemetry = startTelemetry({ service: NAME, version: VERSION, env, clock: systemClock });
  lifecycle.onStop("telemetry", () => telemetry.shutdown());
  const agent = await buildAgent(settings, { clock: systemClock, rng: systemRng, log, telemetry });
  lifecycle.onStop("agent", () => agent.stop(), { timeoutMs: config.drainLimitMs + STOP_MARGIN_MS });
  const { address, opsAddress, identity } = agent;
  log.info(
    { address, opsAddress, node: identity.name, id: identity.id, ollama: config.ollamaUrl },
    "drover-agent serves",
  );
  return { address, opsAddress, nodeId: identity.id, name: identity.name };
}

await runProgram({ name: NAME, main });
