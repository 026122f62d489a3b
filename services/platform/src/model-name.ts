/**
 * Names of models by Ollama's own rules: what a name means, when two names mean the same model, and how people read it.
 * It does not know which models exist.
 */

/** `cloud`: runs on ollama.com, the prompt leaves the building. `local`: the caller insists on this machine's copy. */
export type ModelSource = "any" | "local" | "cloud";

export interface ModelName {
  /** Default `registry.ollama.ai`. May hold a port. */
  readonly host: string;
  /** Default `library`. */
  readonly namespace: string;
  readonly model: string;
  /** Default `latest`; without the `-cloud` that a cloud name carries. */
  readonly tag: string;
  readonly source: ModelSource;
}

const DEFAULT_HOST = "registry.ollama.ai";
const DEFAULT_NAMESPACE = "library";
const DEFAULT_TAG = "latest";

/** Longer names are refused unread: 350 host + 3 × 80 parts + scheme, separators and suffix. */
const LONGEST_NAME = 640;

const HOST = /^\w[\w.:-]{0,349}$/;
const NAMESPACE = /^\w[\w-]{0,79}$/;
const MODEL_OR_TAG = /^\w[\w.-]{0,79}$/;

/** The parts of a name as a caller writes it; undefined when Ollama would refuse it. Keeps the caller's upper and lower case. */
export function parseModelName(raw: string): ModelName | undefined {
  if (raw.length > LONGEST_NAME) return undefined;
  const { base, source } = splitSource(raw.trim());
  // Two sources contradict each other or say the same twice; Ollama answers both with 400.
  if (source !== "any" && splitSource(base).source !== "any") return undefined;
  const { path, tag } = splitTag(base);
  const [model = "", namespace = DEFAULT_NAMESPACE, host = DEFAULT_HOST] = splitPath(path);
  if (!HOST.test(host) || !NAMESPACE.test(namespace) || !MODEL_OR_TAG.test(model) || !MODEL_OR_TAG.test(tag))
    return undefined;
  return { host, namespace, model, tag, source };
}

/**
 * Equal keys mean the same model; undefined for an invalid name. Case does not count. `x` and `x:local` are one model, as
 * no node ever holds both; a cloud name is another one, because it runs elsewhere.
 */
export function modelKey(raw: string): string | undefined {
  const name = parseModelName(raw);
  if (name === undefined) return undefined;
  const key = `${name.host}/${name.namespace}/${name.model}:${name.tag}`.toLowerCase();
  return name.source === "cloud" ? `${key}@cloud` : key;
}

/** As Ollama lists it: without the default host and namespace, always with the tag: `llama3:latest`, `hf.co/u/m:Q4`. */
export function displayModelName(name: ModelName): string {
  const isDefaultHost = name.host.toLowerCase() === DEFAULT_HOST;
  const isDefaultNamespace = name.namespace.toLowerCase() === DEFAULT_NAMESPACE;
  const host = isDefaultHost ? "" : `${name.host}/`;
  const namespace = isDefaultHost && isDefaultNamespace ? "" : `${name.namespace}/`;
  return `${host}${namespace}${name.model}:${displayTag(name)}`;
}

function displayTag(name: ModelName): string {
  if (name.source !== "cloud") return name.tag;
  return name.tag === DEFAULT_TAG ? "cloud" : `${name.tag}-cloud`;
}

function splitSource(text: string): { base: string; source: ModelSource } {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return { base: text, source: "any" };
  const suffix = text.slice(colon + 1).trim();
  const lower = suffix.toLowerCase();
  if (lower === "cloud" || lower === "local") return { base: text.slice(0, colon), source: lower };
  if (lower.endsWith("-cloud") && !suffix.includes("/")) {
    return { base: text.slice(0, colon + 1) + suffix.slice(0, -"-cloud".length), source: "cloud" };
  }
  return { base: text, source: "any" };
}

/** A colon before the last slash belongs to a port: `localhost:5000/a/b` has no tag. */
function splitTag(text: string): { path: string; tag: string } {
  const colon = text.lastIndexOf(":");
  if (colon <= text.lastIndexOf("/")) return { path: text, tag: DEFAULT_TAG };
  return { path: text.slice(0, colon), tag: text.slice(colon + 1) };
}

/** From the right: model, namespace, and the rest is the host, without its scheme. */
function splitPath(path: string): string[] {
  const modelSlash = path.lastIndexOf("/");
  if (modelSlash < 0) return [path];
  const model = path.slice(modelSlash + 1);
  const before = path.slice(0, modelSlash);
  const namespaceSlash = before.lastIndexOf("/");
  if (namespaceSlash < 0) return [model, before];
  return [model, before.slice(namespaceSlash + 1), before.slice(0, namespaceSlash).replace(/^[a-z]+:\/\//i, "")];
}
