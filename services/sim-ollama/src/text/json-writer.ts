/**
 * Invents a JSON value that fits a schema, as a grammar makes a real model do. Covers the keywords that people send
 * to Ollama; a keyword it does not know is ignored. Knows nothing of requests.
 */
import { hashText, mixHash } from "./tokenizer.ts";
import { WORDS } from "./words.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Schema = Readonly<Record<string, unknown>>;

/** Schemas may refer to themselves; deeper values become null or empty. */
const DEEPEST = 8;

/** What `format: "json"` gives. */
export const FREE_JSON_SCHEMA: Schema = {
  type: "object",
  required: ["answer", "confidence", "topics"],
  properties: {
    answer: { type: "string" },
    confidence: { type: "number" },
    topics: { type: "array", minItems: 2, items: { type: "string" } },
  },
};

/** `seed` picks the values: equal seeds give equal text. */
export function writeJson(schema: Schema, seed: string): string {
  return JSON.stringify(value(schema, { root: schema, seed, path: "$", depth: 0 }));
}

interface Place {
  readonly root: Schema;
  readonly seed: string;
  /** Where in the value, as `$.topics[1]`. */
  readonly path: string;
  readonly depth: number;
}

function value(schema: Schema, place: Place): Json {
  if (place.depth > DEEPEST) return null;
  const dice = mixHash(hashText(place.path, hashText(place.seed, 0x811c9dc5)));
  if ("const" in schema) return schema["const"] as Json;
  const options = schema["enum"];
  if (Array.isArray(options) && options.length > 0) return options[dice % options.length] as Json;
  const inner = alternative(schema, place.root, dice);
  if (inner !== undefined) return value(inner, { ...place, depth: place.depth + 1 });
  return ofType(typeOf(schema, dice), schema, place, dice);
}

function ofType(type: string, schema: Schema, place: Place, dice: number): Json {
  switch (type) {
    case "object":
      return objectValue(schema, place);
    case "array":
      return arrayValue(schema, place, dice);
    case "integer":
      return integerIn(schema, dice);
    case "number":
      return integerIn(schema, dice) + (schema["maximum"] === undefined ? (dice % 4) / 4 : 0);
    case "boolean":
      return dice % 2 === 0;
    case "null":
      return null;
    default:
      return stringValue(schema, dice);
  }
}

function alternative(schema: Schema, root: Schema, dice: number): Schema | undefined {
  const reference = schema["$ref"];
  if (typeof reference === "string") return resolve(reference, root);
  for (const keyword of ["anyOf", "oneOf", "allOf"]) {
    const choices = schema[keyword];
    if (Array.isArray(choices) && choices.length > 0) return asSchema(choices[dice % choices.length]);
  }
  return undefined;
}

function resolve(reference: string, root: Schema): Schema {
  let found: unknown = root;
  for (const part of reference.replace(/^#\/?/, "").split("/")) {
    if (part !== "") found = asSchema(found)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return asSchema(found);
}

function typeOf(schema: Schema, dice: number): string {
  const type = schema["type"];
  if (typeof type === "string") return type;
  if (Array.isArray(type) && type.length > 0) return String(type[dice % type.length]);
  if (schema["properties"] !== undefined) return "object";
  return schema["items"] === undefined ? "string" : "array";
}

function objectValue(schema: Schema, place: Place): Json {
  const result: Record<string, Json> = {};
  for (const [name, property] of Object.entries(asSchema(schema["properties"]))) {
    result[name] = value(asSchema(property), inside(place, `.${name}`));
  }
  return result;
}

function arrayValue(schema: Schema, place: Place, dice: number): Json {
  const least = numberOr(schema["minItems"], 1);
  const most = numberOr(schema["maxItems"], Math.max(least, 3));
  const length = Math.min(least + (dice % (most - least + 1)), 64);
  return Array.from({ length }, (_, i) => value(asSchema(schema["items"]), inside(place, `[${i}]`)));
}

function inside(place: Place, step: string): Place {
  return { ...place, path: place.path + step, depth: place.depth + 1 };
}

function integerIn(schema: Schema, dice: number): number {
  const least = Math.ceil(numberOr(schema["minimum"], 0));
  const most = Math.floor(numberOr(schema["maximum"], least + 99));
  return least + (dice % (Math.max(most - least, 0) + 1));
}

function stringValue(schema: Schema, dice: number): string {
  if (schema["format"] === "date") return "2024-05-17";
  if (schema["format"] === "date-time") return "2024-05-17T12:00:00Z";
  const least = Math.min(numberOr(schema["minLength"], 0), 4096);
  const most = numberOr(schema["maxLength"], 4096);
  let text = WORDS[dice % WORDS.length] ?? "word";
  while (text.length < least) text += ` ${WORDS[(dice + text.length) % WORDS.length]}`;
  return text.slice(0, most);
}

function numberOr(candidate: unknown, fallback: number): number {
  return typeof candidate === "number" && Number.isFinite(candidate) ? candidate : fallback;
}

function asSchema(candidate: unknown): Schema {
  return typeof candidate === "object" && candidate !== null ? (candidate as Schema) : {};
}
