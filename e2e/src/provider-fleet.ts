/** Agents and a router before them, as processes that people would start, and a provider of each kind on them. */
import { type AgentProvider, NetworkAgentProvider } from "@drover/client";
import { NetworkAgentProvider as DirectProvider } from "@drover/client/direct";
import { createSimOllama, type SimOllama, type SimOllamaOptions } from "@drover/sim-ollama";
import { type DroverProcess, startDrover } from "./drover-process.ts";

export const MODEL = "llama3.2:1b";
export const EMBED_MODEL = "nomic-embed-text:latest";
export const OTHER_MODEL = "qwen3:4b";

export const PROVIDER_KINDS = ["over a router", "without a router"] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

export interface AgentPlan {
  readonly name: string;
  /** Flags of the agent, such as labels. */
  readonly flags?: readonly string[];
  /** Its Ollama, which is simulated in this process. */
  readonly sim: SimOllamaOptions;
}

export interface ProviderFleet {
  readonly router: DroverProcess;
  readonly agents: readonly DroverProcess[];
  /** A new one; disposed with the fleet. */
  provider(kind: ProviderKind): AgentProvider;
  close(): Promise<void>;
}

export async function startProviderFleet(plans: readonly AgentPlan[]): Promise<ProviderFleet> {
  const sims: SimOllama[] = [];
  const agents = await Promise.all(
    plans.map(async ({ name, flags = [], sim: options }) => {
      const sim = await createSimOllama(options);
      sims.push(sim);
      return startDrover("agent", ["--ollama", sim.url, "--name", name, ...flags]);
    }),
  );
  const addresses = agents.map(({ address }) => address);
  const router = await startDrover("router", ["--nodes", addresses.join(",")]);
  const providers: AgentProvider[] = [];
  return {
    router,
    agents,
    provider: (kind) => {
      const provider =
        kind === "over a router"
          ? new NetworkAgentProvider({ discovery: { router: router.address } })
          : new DirectProvider({ discovery: { static: addresses } });
      providers.push(provider);
      return provider;
    },
    close: async () => {
      await Promise.all(providers.map((provider) => provider.dispose()));
      await router.stop();
      await Promise.all(agents.map((agent) => agent.stop()));
      await Promise.all(sims.map((sim) => sim.close()));
    },
  };
}
