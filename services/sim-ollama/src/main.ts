/** The process `drover-sim-ollama`: flags, environment, signals and exit code. All else is in sim-ollama.ts. */
import {
  ConfigError,
  configOrHelp,
  formatHostPort,
  type Lifecycle,
  type ReadyFacts,
  runProgram,
} from "@drover/platform";
import { type SimConfig, simConfig } from "./sim-config.ts";
import { createSimOllama, type SimOllama } from "./sim-ollama.ts";

async function main(lifecycle: Lifecycle): Promise<ReadyFacts | undefined> {
  const print = (text: string): void => void process.stdout.write(text);
  const config = configOrHelp(simConfig, { argv: process.argv.slice(2), env: process.env, print });
  if (config === undefined) return undefined;
  const ollama = await open(config);
  lifecycle.onStop("simulated Ollama", () => ollama.close());
  const names = config.models.map((model) => model.name).join(", ");
  print(`drover-sim-ollama: simulated Ollama ready at http://${ollama.address} with ${names}\n`);
  return { address: ollama.address };
}

async function open(config: SimConfig): Promise<SimOllama> {
  const { host, port } = config.listen;
  try {
    return await createSimOllama({ ...config, host, port });
  } catch (error) {
    const address = formatHostPort(config.listen);
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") {
      throw new ConfigError(`--listen: ${address} is taken; choose another port, or stop what listens there`);
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new ConfigError(`--listen: this machine has no address ${host}`);
    }
    if (code === "EACCES") throw new ConfigError(`--listen: port ${port} needs more rights; choose one above 1023`);
    throw error;
  }
}

await runProgram({ name: "drover-sim-ollama", main });
