/** Decides which nodes `npm start` is to have: looks for Ollamas and says in plain words what it found. Starts nothing. */
import { ConfigError, ollamaHostUrl } from "@drover/platform";
import { type OllamaProbe, probeOllama } from "./ollama-probe.ts";
import { ollamaNodes, type PlannedNode, SIMULATED_MODELS, simulatedNodes } from "./planned-node.ts";
import { StartError } from "./start-error.ts";

export interface FleetWishes {
  /** From --ollama; empty: where OLLAMA_HOST says. */
  readonly ollamaUrls: readonly string[];
  /** The variable OLLAMA_HOST. */
  readonly ollamaHost: string | undefined;
  readonly print: (text: string) => void;
  readonly probe?: (url: string) => Promise<OllamaProbe>;
}

/** Rejects when Ollamas were asked for by name and none answers; otherwise there is always a fleet. */
export async function planFleet(wishes: FleetWishes): Promise<PlannedNode[]> {
  const { ollamaUrls, print, probe = probeOllama } = wishes;
  const isAskedFor = ollamaUrls.length > 0;
  const urls = isAskedFor ? [...new Set(ollamaUrls)] : [localUrl(wishes.ollamaHost)];
  const probes = await Promise.all(urls.map((url) => probe(url)));
  const silent = probes.filter((each) => each.kind === "silent");
  const answering = probes.filter((each) => each.kind === "answers");
  const where = silent.map(({ url, why }) => `${url} (${why})`).join(", ");
  if (answering.length === 0 && isAskedFor) {
    throw new StartError(
      `no Ollama answered at ${where}; start it with \`ollama serve\`, or leave out --ollama to try simulated nodes`,
    );
  }
  if (answering.length === 0) {
    print(
      `No Ollama answered at ${where}: using three simulated nodes, whose answers are invented; install Ollama (https://ollama.com/download) or pass --ollama URL.\n`,
    );
    return simulatedNodes(SIMULATED_MODELS);
  }
  if (silent.length > 0) print(`No Ollama answered at ${where}: going on without it.\n`);
  return ollamaNodes(answering);
}

function localUrl(ollamaHost: string | undefined): string {
  const url = ollamaHostUrl(ollamaHost);
  if (url === undefined) throw new ConfigError(`OLLAMA_HOST "${ollamaHost}": must be an address, as 127.0.0.1:11434`);
  return url;
}
