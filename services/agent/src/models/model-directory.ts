/**
 * Which models lie on this node's disk and what they can do. Read from Ollama every few seconds, details once per digest; the
 * last good reading stands while Ollama is away. Cloud models, which run elsewhere, are hidden and refused.
 */
import { type Clock, DroverError, modelKey as keyOf, type Logger, parseModelName } from "@drover/platform";
import { type ModelDetails, readDetails, readTags, type TaggedModel } from "../ollama/ollama-api.ts";
import type { OllamaAsker } from "../ollama/ollama-client.ts";
import { type InstalledModel, MAX_MODELS } from "../status/model-inventory.ts";
import { repeat } from "./repeat.ts";

export interface ModelDirectoryDeps {
  readonly client: OllamaAsker;
  readonly clock: Clock;
  readonly log: Logger;
  /** Name of the node, for messages. */
  readonly node: string;
  /** Whether Ollama answers; reading is left to the next time when it does not. */
  readonly isReachable: () => boolean;
  readonly onChange: () => void;
}

/** Models that were pulled or deleted beside the agent are seen within this time. */
const READ_PAUSE_MS = 5_000;

/** A name that is not here makes us look again, but callers of a wrong name must not make us look all the time. */
const FRESH_FOR_MS = 1_000;

export class ModelDirectory {
  readonly #deps: ModelDirectoryDeps;
  readonly #stop = new AbortController();
  readonly #details = new Map<string, ModelDetails>();
  #models: ReadonlyMap<string, InstalledModel> | undefined;
  #remoteKeys: ReadonlySet<string> = new Set();
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  #filling: Promise<void> | undefined;
  #ended: Promise<void> | undefined;

  constructor(deps: ModelDirectoryDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { clock, log } = this.#deps;
    const options = { clock, log, name: "reading of the models", pauseMs: READ_PAUSE_MS, signal: this.#stop.signal };
    this.#ended = repeat(options, async () => {
      if (this.#deps.isReachable()) await this.read();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#ended, this.#filling]);
  }

  /** What is on the disk; undefined until Ollama was read once. */
  list(): readonly InstalledModel[] | undefined {
    return this.#models === undefined ? undefined : [...this.#models.values()];
  }

  /** The same for all models that are made of the same weights. */
  weightsKeyOf(modelKey: string): string {
    return this.#models?.get(modelKey)?.weightsKey ?? modelKey;
  }

  /** The names for the same weights. */
  namesOf(weightsKey: string): string[] {
    return [...(this.#models?.values() ?? [])]
      .filter((model) => model.weightsKey === weightsKey)
      .map(({ name }) => name);
  }

  /** Reads it again; callers share a reading that runs. Never rejects: the last reading stands. */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** The model that a caller names. Throws a DroverError: no name, an invalid one, a cloud model, a model that is not here. */
  async resolve(name: string): Promise<InstalledModel> {
    const key = this.#checkName(name);
    if (this.#models?.get(key) === undefined && !this.#isFresh()) await this.read();
    const model = this.#models?.get(key);
    if (model !== undefined) return await this.#withDetails(model);
    if (this.#remoteKeys.has(key)) throw this.#leavesTheFleet(name);
    const { node } = this.#deps;
    const message = `There is no model "${name}" on node "${node}". Run "ollama pull ${name}" there, or name a model that it has.`;
    throw new DroverError("node_lacks_model", message, { facts: { model: name, node } });
  }

  #checkName(name: string): string {
    if (name.trim() === "") {
      throw new DroverError("malformed_request", "The request names no model: its field model is empty.", {
        facts: { field: "model" },
      });
    }
    const key = keyOf(name);
    if (key === undefined) {
      const message = `"${name.slice(0, 100)}" is no model name; write it as "llama3.2", "llama3.2:1b" or "hf.co/user/model:tag".`;
      throw new DroverError("malformed_request", message, { facts: { field: "model" } });
    }
    if (parseModelName(name)?.source === "cloud") throw this.#leavesTheFleet(name);
    return key;
  }

  #leavesTheFleet(name: string): DroverError {
    const { node } = this.#deps;
    const message = `The model "${name}" runs in Ollama's cloud, and node "${node}" sends nothing out of the fleet. Name a model of its own.`;
    return new DroverError("permission_denied", message, { facts: { model: name, node } });
  }

  #isFresh(): boolean {
    return this.#deps.clock.nowMs() - this.#readAtMs < FRESH_FOR_MS;
  }

  async #read(): Promise<void> {
    let tagged: readonly TaggedModel[];
    try {
      tagged = await readTags(this.#deps.client);
    } catch (err) {
      this.#deps.log.warn({ err }, "Ollama did not list its models; the last list stands");
      return;
    }
    this.#readAtMs = this.#deps.clock.nowMs();
    this.#publish(tagged);
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
  }

  /** Asks for the details of all models. The list does not wait for it: a disk full of models takes its time. */
  async #fill(): Promise<void> {
    for (const model of this.#models?.values() ?? []) {
      if (this.#stop.signal.aborted) return;
      const { capabilities } = await this.#withDetails(model);
      if (capabilities === undefined && !this.#deps.isReachable()) return;
    }
  }

  #publish(tagged: readonly TaggedModel[]): void {
    const own = tagged.filter((model) => model.remoteHost === "" && parseModelName(model.name)?.source !== "cloud");
    const models = new Map(own.map(({ remoteHost: _, ...model }) => [model.modelKey, this.#merge(model)]));
    this.#remoteKeys = new Set(tagged.filter((model) => model.remoteHost !== "").map((model) => model.modelKey));
    const isSame = JSON.stringify([...models.values()]) === JSON.stringify(this.list());
    this.#models = models;
    if (!isSame) this.#deps.onChange();
  }

  /** What is known of a model from an earlier reading of the same digest. */
  #merge(model: InstalledModel): InstalledModel {
    const details = this.#details.get(model.digest);
    if (details === undefined) return model;
    return {
      ...model,
      capabilities: model.capabilities ?? details.capabilities,
      contextLength: model.contextLength || details.contextLength,
      weightsKey: details.weights || model.modelKey,
      runnerOptionsJson: details.runnerOptionsJson,
    };
  }

  /** Asks what the model can do, once per digest. Without an answer it stays unknown, and Ollama itself will judge. */
  async #withDetails(model: InstalledModel): Promise<InstalledModel> {
    if (model.capabilities !== undefined && this.#details.has(model.digest)) return model;
    if (!this.#details.has(model.digest)) {
      try {
        this.#remember(model.digest, await readDetails(this.#deps.client, model.name));
      } catch (err) {
        this.#deps.log.debug({ err, model: model.name }, "Ollama did not show a model");
        return model;
      }
    }
    const detailed = this.#merge(model);
    this.#replace(model, detailed);
    return detailed;
  }

  #replace(model: InstalledModel, detailed: InstalledModel): void {
    // A reading may have replaced the list meanwhile.
    if (this.#models?.get(model.modelKey) !== model) return;
    this.#models = new Map(this.#models).set(model.modelKey, detailed);
    this.#deps.onChange();
  }

  /** Digests of deleted models stay until the oldest make room. */
  #remember(digest: string, details: ModelDetails): void {
    this.#details.set(digest, details);
    const oldest = this.#details.size > MAX_MODELS ? this.#details.keys().next().value : undefined;
    if (oldest !== undefined) this.#details.delete(oldest);
  }
}
