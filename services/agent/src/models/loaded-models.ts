/**
 * Which models Ollama holds in memory, read every two seconds and after each load. One slow answer is not a dead node: the
 * last reading stands until there is a new one.
 */
import type { Clock, Logger } from "@drover/platform";
import { readLoaded } from "../ollama/ollama-api.ts";
import type { OllamaAsker } from "../ollama/ollama-client.ts";
import type { LoadedModel } from "../status/node-load.ts";
import { repeat } from "./repeat.ts";

export interface LoadedModelsDeps {
  readonly client: OllamaAsker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isReachable: () => boolean;
  /** By model key, see RunnerSpec.weightsKey. */
  readonly weightsKeyOf: (modelKey: string) => string;
  /** Gets each new reading and when it was asked for. */
  readonly onRead: (loaded: readonly LoadedModel[], askedAtMs: number) => void;
}

const READ_PAUSE_MS = 2_000;

export class LoadedModels {
  readonly #deps: LoadedModelsDeps;
  readonly #stop = new AbortController();
  #ended: Promise<void> | undefined;

  constructor(deps: LoadedModelsDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { clock, log } = this.#deps;
    const options = {
      clock,
      log,
      name: "reading of the loaded models",
      pauseMs: READ_PAUSE_MS,
      signal: this.#stop.signal,
    };
    this.#ended = repeat(options, async () => {
      if (this.#deps.isReachable()) await this.read();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** Reads now. Undefined when Ollama did not say; never rejects. */
  async read(): Promise<readonly LoadedModel[] | undefined> {
    const askedAtMs = this.#deps.clock.nowMs();
    try {
      const listed = await readLoaded(this.#deps.client);
      const loaded = listed.map(({ modelKey, ...model }) => ({
        ...model,
        weightsKey: this.#deps.weightsKeyOf(modelKey),
      }));
      this.#deps.onRead(loaded, askedAtMs);
      return loaded;
    } catch (err) {
      this.#deps.log.debug({ err }, "Ollama did not list its loaded models; the last list stands");
      return undefined;
    }
  }
}
