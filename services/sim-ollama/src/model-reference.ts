/**
 * What a request means by its `model`, and how Ollama complains when it means nothing. Knows nothing of which models
 * exist. Source: internal/modelref of github.com/ollama/ollama.
 */
import { type ModelName, modelKey, parseModelName } from "@drover/platform";

export type ModelReference =
  | { readonly kind: "name"; readonly name: ModelName; readonly key: string }
  | { readonly kind: "missing" }
  | { readonly kind: "invalid" }
  | { readonly kind: "conflicting-source"; readonly message: string };

const TWO_SOURCES = /[:-](cloud|local)\s*:\s*(cloud|local)$/i;

export function readModelReference(raw: string): ModelReference {
  const trimmed = raw.trim();
  if (trimmed === "") return { kind: "missing" };
  const name = parseModelName(trimmed);
  const key = modelKey(trimmed);
  if (name !== undefined && key !== undefined) return { kind: "name", name, key };
  if (!TWO_SOURCES.test(trimmed)) return { kind: "invalid" };
  return {
    kind: "conflicting-source",
    message: `use either :local or :cloud, not both: ${JSON.stringify(trimmed)}`,
  };
}

/** All four parts, as Ollama writes them in messages about capabilities. */
export function fullName(name: ModelName): string {
  return `${name.host}/${name.namespace}/${name.model}:${name.tag}`;
}
