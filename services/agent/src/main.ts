/** The process `drover-agent`: flags, environment, state directory, signals and exit code. All else is in build-agent.ts. */
import {
  configOrHelp,
  createLogger,
  defaultStateDir,
  type Lifecycle,
  openStateDir,
  parseHostPort,
  type ReadyFacts,
  readAdminToken,
  runProgram,
  systemClock,
} from "@drover/platform";
import { agentConfig } from "./agent-config.ts";
import { buildAgent } from "./build-agent.ts";

const NAME = "drover-agent";

/** Longer than the agent's own patience with running answers. */
const STOP_TIMEOUT_MS = 25_000;

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
  const settings = { ...config, nodeId: stateDir.nodeId, isInsecureAllowed: config.isInsecure, adminToken };
  const agent = await buildAgent(settings, { clock: systemClock, log });
  lifecycle.onStop("agent", () => agent.stop(), { timeoutMs: STOP_TIMEOUT_MS });
  const { address, opsAddress, identity } = agent;
  log.info(
    { address, opsAddress, node: identity.name, id: identity.id, ollama: config.ollamaUrl },
    "drover-agent serves",
  );
  return { address, opsAddress, nodeId: identity.id, name: identity.name };
}

await runProgram({ name: NAME, main });
