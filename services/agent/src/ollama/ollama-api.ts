/**
 * What the agent asks Ollama beside inference: is it there, what lies on its disk, what is in its memory, what a model can do.
 * Reads answers of all versions leniently: a field that is missing or strange is taken as not said.
 */
import { modelKey } from "@drover/platform";
import { type InstalledModel, MAX_MODELS } from "../status/model-inventory.ts";
import type { LoadedModel } from "../status/node-load.ts";
import { asArray, asCount, asInt32, asObject, asText, type JsonObject } from "./json-values.ts";
import type { OllamaAsker } from "./ollama-client.ts";
import { runnerOptionsJson } from "./ollama-options.ts";

/** A model of GET /api/tags; `remoteHost` is set for a cloud model, which runs elsewhere. */
export interface TaggedModel extends InstalledModel {
  readonly remoteHost: string;
}

/** A model of GET /api/ps. */
export interface ListedModel extends Omit<LoadedModel, "weightsKey"> {
  readonly modelKey: string;
}

/** What POST /api/show adds. */
export interface ModelDetails {
  /** The digest of its file of weights; empty when Ollama does not say. */
  readonly weights: string;
  readonly runnerOptionsJson: string;
  readonly capabilities: readonly string[] | undefined;
  readonly contextLength: number;
}

/** Answers to these need no lock in Ollama, so a slow one is a bad sign. */
const QUICK_TIMEOUT_MS = 2_000;

/** Reads every manifest of the disk. */
const TAGS_TIMEOUT_MS = 10_000;

/** Reads the model file's head from disk. */
const SHOW_TIMEOUT_MS = 10_000;

/** Takes locks that Ollama holds during health pings (10 s) and unloads (5 s): one slow answer means nothing. */
const PS_TIMEOUT_MS = 15_000;

/** Resolves when Ollama answers at all; rejects with undici's error or an OllamaTimeoutError. */
export async function probeOllama(client: OllamaAsker): Promise<void> {
  const { status } = await client.ask({ method: "HEAD", path: "/" }, QUICK_TIMEOUT_MS);
  if (status !== 200) throw new Error(`HEAD / was answered with ${status}`);
}

/** Ollama's version; empty when it does not say. */
export async function readVersion(client: OllamaAsker): Promise<string> {
  const answer = await readJson(client, { method: "GET", path: "/api/version" }, QUICK_TIMEOUT_MS);
  return asText(answer["version"]).slice(0, 64);
}

export async function readTags(client: OllamaAsker): Promise<TaggedModel[]> {
  const answer = await readJson(client, { method: "GET", path: "/api/tags" }, TAGS_TIMEOUT_MS);
  return asArray(answer["models"])
    .slice(0, MAX_MODELS)
    .map(toTaggedModel)
    .filter((model) => model !== undefined);
}

export async function readLoaded(client: OllamaAsker): Promise<ListedModel[]> {
  const answer = await readJson(client, { method: "GET", path: "/api/ps" }, PS_TIMEOUT_MS);
  return asArray(answer["models"])
    .map(toLoadedModel)
    .filter((model) => model !== undefined);
}

export async function readDetails(client: OllamaAsker, model: string): Promise<ModelDetails> {
  const body = JSON.stringify({ model });
  const answer = await readJson(client, { method: "POST", path: "/api/show", body }, SHOW_TIMEOUT_MS);
  const info = asObject(answer["model_info"]) ?? {};
  const contextLength = asInt32(info[`${asText(info["general.architecture"])}.context_length`]);
  return {
    capabilities: capabilitiesOf(answer["capabilities"]),
    contextLength,
    weights: weightsOf(asText(answer["modelfile"])),
    runnerOptionsJson: parametersJson(asText(answer["parameters"])),
  };
}

/** Ollama's whole answer to POST /api/show, for people. */
export async function showModel(
  client: OllamaAsker,
  model: string,
  isVerbose: boolean,
): Promise<{ status: number; text: string }> {
  const body = JSON.stringify({ model, verbose: isVerbose });
  return await client.ask({ method: "POST", path: "/api/show", body }, SHOW_TIMEOUT_MS);
}

type AskRequest = Parameters<OllamaAsker["ask"]>[0];

async function readJson(client: OllamaAsker, request: AskRequest, timeoutMs: number): Promise<JsonObject> {
  const { status, text } = await client.ask(request, timeoutMs);
  if (status !== 200) throw new Error(`${request.path} was answered with ${status}: ${text.slice(0, 200)}`);
  return asObject(JSON.parse(text)) ?? {};
}

function toTaggedModel(value: unknown): TaggedModel | undefined {
  const model = asObject(value) ?? {};
  const name = nameOf(model);
  const key = modelKey(name);
  if (key === undefined) return undefined;
  const details = asObject(model["details"]) ?? {};
  return {
    name,
    modelKey: key,
    digest: asText(model["digest"]).replace(/^sha256:/, ""),
    sizeBytes: asCount(model["size"]),
    capabilities: capabilitiesOf(model["capabilities"]),
    contextLength: asInt32(details["context_length"]),
    family: asText(details["family"]),
    parameterSize: asText(details["parameter_size"]),
    quantizationLevel: asText(details["quantization_level"]),
    weightsKey: key,
    runnerOptionsJson: "",
    remoteHost: asText(model["remote_host"]),
  };
}

function toLoadedModel(value: unknown): ListedModel | undefined {
  const model = asObject(value) ?? {};
  const name = nameOf(model);
  const key = modelKey(name);
  if (key === undefined) return undefined;
  return {
    name,
    modelKey: key,
    contextLength: asInt32(model["context_length"]),
    sizeBytes: asCount(model["size"]),
    vramBytes: asCount(model["size_vram"]),
  };
}

/** From the first line `FROM /…/blobs/sha256-…`, which is what Ollama keys its runners by; on Windows with other slashes. */
function weightsOf(modelfile: string): string {
  return /^FROM .*[\\/](sha256[-:][0-9a-f]{64})"?\s*$/m.exec(modelfile)?.[1] ?? "";
}

/** From lines `num_ctx                        4096`, as Ollama prints PARAMETER. */
function parametersJson(parameters: string): string {
  const pairs = parameters.split("\n").map((line) => /^(\S+)\s+(\S+)\s*$/.exec(line));
  return runnerOptionsJson(new Map(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""])));
}

function nameOf(model: JsonObject): string {
  return asText(model["name"]) || asText(model["model"]);
}

function capabilitiesOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((capability) => typeof capability === "string") : undefined;
}
