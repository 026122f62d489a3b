/** Which nodes are to be started, with their names: one for each Ollama that answered, or three simulated ones. Starts nothing. */
import { isLoopbackHost } from "@drover/platform";

/** Of an agent and, where `simulation` is set, of the simulated Ollama that it stands beside. */
export interface PlannedNode {
  readonly name: string;
  readonly source:
    | { readonly kind: "ollama"; readonly url: string; readonly version: string }
    | { readonly kind: "simulated"; readonly simulation: Simulation };
}

export interface Simulation {
  readonly tokensPerSecond: number;
  readonly slots: number;
  readonly models: readonly string[];
}

/** What a simulated fleet has: the names that examples use. */
export const SIMULATED_MODELS = ["llama3.2:1b", "nomic-embed-text"] as const;

/** Beside a real Ollama invented text must not be taken for that of a real model, so the name says what it is. */
export const SIMULATED_MODELS_BESIDE_REAL = ["simulated:1b", "simulated-embed"] as const;

/** Three speeds, as in a fleet that has grown. */
export function simulatedNodes(models: readonly string[]): PlannedNode[] {
  const speeds = [
    ["sim-fast", 120, 4],
    ["sim-medium", 60, 2],
    ["sim-slow", 25, 1],
  ] as const;
  return speeds.map(([name, tokensPerSecond, slots]) => ({
    name,
    source: { kind: "simulated", simulation: { tokensPerSecond, slots, models } },
  }));
}

/** Names are the same on every run with the same addresses, so that state directories and node ids are. */
export function ollamaNodes(ollamas: readonly { readonly url: string; readonly version: string }[]): PlannedNode[] {
  const taken = new Set<string>();
  return ollamas.map(({ url, version }) => {
    const base = nameOf(new URL(url));
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
    taken.add(name);
    return { name, source: { kind: "ollama", url, version } };
  });
}

/** Names are at most 64 characters long; this leaves room for the port and a number. */
const HOST_LENGTH_LIMIT = 52;

function nameOf(url: URL): string {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const place = isLoopbackHost(host) ? "local" : host.replace(/[^\w.-]+/g, "-").slice(0, HOST_LENGTH_LIMIT);
  return `${place}-${port}`;
}

/** "sim-fast     simulated, 120 tokens/s, slots: 4". */
export function describeNode({ name, source }: PlannedNode): string {
  const what =
    source.kind === "ollama"
      ? `Ollama ${source.version} at ${source.url}`
      : `simulated, ${source.simulation.tokensPerSecond} tokens/s, slots: ${source.simulation.slots}`;
  return `${name.padEnd(12)} ${what}`;
}
