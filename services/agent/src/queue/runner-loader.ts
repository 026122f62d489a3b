/**
 * Loads a runner into Ollama's memory by asking it for nothing. The load belongs to the agent, so that Ollama does not abort
 * it when a caller leaves (llm/server.go WaitUntilRunning ends with the request that started it).
 */
import { type Clock, type Logger, sleep } from "@drover/platform";
import type { LoadedModels } from "../models/loaded-models.ts";
import type { OllamaAsker } from "../ollama/ollama-client.ts";
import { loadOnce, unloadOnce } from "../ollama/ollama-load.ts";
import { loadBody } from "../ollama/request-to-ollama.ts";
import type { LoadJobsDeps } from "./load-jobs.ts";

export interface RunnerLoaderDeps {
  readonly client: OllamaAsker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly node: string;
  readonly loadedModels: LoadedModels;
}

/** Ollama gives up after five minutes without progress; a large model from a slow disk makes progress for longer. */
const LOAD_TIMEOUT_MS = 20 * 60_000;

/** The context of the new runner is nice to know at once, but not worth a wait. */
const LOOK_AFTER_LOAD_MS = 250;

/** Resolves with what Ollama then says of the runner, undefined when it did not say in time. Rejects with a DroverError. */
export function createRunnerLoader(deps: RunnerLoaderDeps): LoadJobsDeps["load"] {
  const { client, clock, log, node } = deps;
  return async (spec, evicted) => {
    const { model, isEmbedding, optionsJson } = spec;
    for (const victim of evicted) await evict(deps, victim.model, model);
    const startedAtMs = clock.nowMs();
    log.info({ model, options: optionsJson }, "loading a model");
    const body = loadBody(model, optionsJson, isEmbedding);
    await loadOnce(client, { node, model, body, isEmbedding, timeoutMs: LOAD_TIMEOUT_MS });
    log.info({ model, options: optionsJson, loadMs: Math.round(clock.nowMs() - startedAtMs) }, "a model is loaded");
    const loaded = await Promise.race([deps.loadedModels.read(), sleep(clock, LOOK_AFTER_LOAD_MS)]);
    return loaded?.find((seen) => seen.weightsKey === spec.weightsKey);
  };
}

/** Best effort: where it fails Ollama chooses for itself, or the load fails and says why. */
async function evict({ client, log }: RunnerLoaderDeps, model: string, wanted: string): Promise<void> {
  log.info({ model, for: wanted }, "unloading a model to make room");
  await unloadOnce(client, model).catch((err: unknown) => log.debug({ err, model }, "Ollama did not unload a model"));
}
