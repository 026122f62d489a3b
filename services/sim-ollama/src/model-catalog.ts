/**
 * The models of one simulated Ollama: what they are called, can do and look like in `/api/tags` and `/api/show`.
 * Knows nothing of which of them are loaded.
 */
import { createHash } from "node:crypto";
import { displayModelName, type ModelName } from "@drover/platform";
import { fullName, readModelReference } from "./model-reference.ts";

export type Capability = "completion" | "tools" | "insert" | "vision" | "embedding" | "thinking";

export interface ModelConfig {
  readonly name: string;
  /** Another model that is made of the same weights. Default: it has its own. */
  readonly weightsOf?: string;
  /** Default: completion and tools; also embedding, vision or thinking where the name says `embed`, `vision` or `think`. */
  readonly capabilities?: readonly Capability[];
  /** Bytes on disk and in memory. Default: what the name says (`:1b`, `:135m`), else drawn from it, 0.1 to 8 GB. */
  readonly sizeBytes?: number;
  /** The longest context that the model was trained for, in tokens. Default 32,768. */
  readonly contextLength?: number;
  /** The length of its vectors. Default 384. */
  readonly embeddingLength?: number;
}

export interface Model {
  readonly name: ModelName;
  /** As in `/api/tags`. */
  readonly displayName: string;
  readonly key: string;
  readonly digest: string;
  /** Of its file of weights: models with the same one share a runner, as in Ollama. */
  readonly weights: string;
  readonly capabilities: readonly Capability[];
  readonly sizeBytes: number;
  readonly contextLength: number;
  readonly embeddingLength: number;
  readonly details: ModelDetails;
}

export interface ModelDetails {
  readonly parent_model: string;
  readonly format: string;
  readonly family: string;
  readonly families: readonly string[];
  readonly parameter_size: string;
  readonly quantization_level: string;
}

export interface ModelCatalog {
  readonly models: readonly Model[];
  /** By the key that @drover/platform makes of a name. */
  find(key: string): Model | undefined;
}

/** Throws a RangeError that names the first name which Ollama would not take. */
export function createModelCatalog(configs: readonly ModelConfig[]): ModelCatalog {
  const byKey = new Map<string, Model>();
  for (const config of configs) {
    const model = createModel(config);
    byKey.set(model.key, model);
  }
  return { models: [...byKey.values()], find: (key) => byKey.get(key) };
}

function createModel(config: ModelConfig): Model {
  const { name, key } = readName(config.name);
  const digest = digestOf(key);
  const weights = config.weightsOf === undefined ? key : readName(config.weightsOf).key;
  const share = Number.parseInt(digest.slice(0, 6), 16) / 0xffffff;
  const sizeBytes = config.sizeBytes ?? namedSizeBytes(name) ?? Math.round(1e8 + share * 7.9e9);
  return {
    name,
    displayName: displayModelName(name),
    key,
    digest,
    weights: digestOf(`weights of ${weights}`),
    capabilities: config.capabilities ?? capabilitiesOf(name),
    sizeBytes,
    contextLength: config.contextLength ?? 32_768,
    embeddingLength: config.embeddingLength ?? 384,
    details: {
      parent_model: "",
      format: "gguf",
      family: "llama",
      families: ["llama"],
      parameter_size: parameterSize(sizeBytes),
      quantization_level: "Q4_K_M",
    },
  };
}

function readName(text: string): { readonly name: ModelName; readonly key: string } {
  const reference = readModelReference(text);
  if (reference.kind !== "name") throw new RangeError(`"${text}" is not a name that Ollama takes for a model`);
  return reference;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function capabilitiesOf(name: ModelName): Capability[] {
  const text = fullName(name).toLowerCase();
  const capabilities: Capability[] = ["completion", "tools"];
  if (text.includes("vision")) capabilities.push("vision");
  if (text.includes("embed")) capabilities.push("embedding");
  if (text.includes("think")) capabilities.push("thinking");
  return capabilities;
}

/** What a parameter takes when it is quantized as these models are. */
const BYTES_PER_PARAMETER = 0.6;

/** From a tag such as `1b`, `135m` or `0.5b-instruct`. */
function namedSizeBytes({ tag }: ModelName): number | undefined {
  const [, count, unit] = /^(\d{1,4}(?:\.\d+)?)([bm])(?![a-z0-9])/i.exec(tag) ?? [];
  const parameters = Number(count) * (unit?.toLowerCase() === "b" ? 1e9 : 1e6);
  return parameters > 0 ? Math.round(parameters * BYTES_PER_PARAMETER) : undefined;
}

/** As Ollama writes it: `135M`, `3.2B`. */
function parameterSize(sizeBytes: number): string {
  const millions = sizeBytes / BYTES_PER_PARAMETER / 1e6;
  return millions < 1000 ? `${Math.round(millions)}M` : `${(millions / 1000).toFixed(1)}B`;
}
