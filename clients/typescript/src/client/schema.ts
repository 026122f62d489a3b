/**
 * Schemas in, JSON text out, and values of the schema's type back: plain JSON Schema, or an object of a library such as zod that
 * speaks Standard Schema (https://standardschema.dev). No such library is imported here.
 */
import { clientError, invalidArgument } from "../errors/drover-error.ts";

/**
 * A JSON Schema as an object. Its keys are sent in their order, which models heed; keys that are whole numbers come first, since
 * JavaScript sorts them, and only JSON text avoids it. `object`, because schemas that are interfaces fit no Record.
 */
export type JsonSchema = object;

/** A JSON Schema that says the type of its values: see `jsonSchema`. */
export type TypedJsonSchema<Value> = JsonSchema & { readonly [VALUE]?: Value };
declare const VALUE: unique symbol;

/** What zod, Valibot, ArkType and others have in common: types, and a check of values. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    /** Standard JSON Schema, which zod has from 4.2 on. Without it the schema's own `toJSONSchema()` or `toJsonSchema()` is asked. */
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

/** What a schema's check gives: a value, or what is wrong. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One thing that is wrong, and where. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema as an object, as one of a schema library, or as JSON text that is sent as it is. */
export type Schema = JsonSchema | StandardSchema | string;

/** The type of a schema's values: `unknown` where the schema does not say. */
export type SchemaValue<S> =
  S extends StandardSchema<infer Output> ? Output : S extends TypedJsonSchema<infer Value> ? Value : unknown;

/** Says the type of a plain JSON Schema's values; the values are not checked. */
export function jsonSchema<Value>(schema: JsonSchema): TypedJsonSchema<Value> {
  return schema as TypedJsonSchema<Value>;
}

/** The schema as JSON text. `what` names it in errors. */
export function schemaText(schema: Schema, what: string): string {
  if (typeof schema === "string") return checkedText(schema, what);
  const plain = isStandardSchema(schema) ? standardToJsonSchema(schema, what) : schema;
  try {
    return JSON.stringify(plain);
  } catch (cause) {
    throw invalidArgument(`${what} cannot be written as JSON: ${wordsOf(cause)}`, cause);
  }
}

/** JSON text as a value that was checked where the schema can. Throws OUTPUT_INVALID with the text as `partialText`. */
export async function parseOutput(json: string, schema: Schema | undefined, what: string): Promise<unknown> {
  const value = parseJson(json, what);
  return isStandardSchema(schema) ? accepted(await schema["~standard"].validate(value), json, what) : value;
}

/** The same for a schema whose check answers at once. */
export function parseOutputNow(json: string, schema: Schema | undefined, what: string): unknown {
  const value = parseJson(json, what);
  if (!isStandardSchema(schema)) return value;
  const result = schema["~standard"].validate(value);
  if (result instanceof Promise)
    throw invalidArgument(`The schema of ${what} answers later; use one that answers at once.`);
  return accepted(result, json, what);
}

function checkedText(text: string, what: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch (cause) {
    throw invalidArgument(`${what} is not JSON text: ${wordsOf(cause)}`, cause);
  }
}

function parseJson(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    const message = `${what} is not JSON: ${wordsOf(cause)}. The text is in partialText.`;
    throw clientError("OUTPUT_INVALID", message, { partialText: json, cause });
  }
}

function accepted(result: StandardResult<unknown>, json: string, what: string): unknown {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(issueWords).join("; ");
  const message = `${what} is not what its schema asks for: ${issues}. The text is in partialText.`;
  throw clientError("OUTPUT_INVALID", message, { partialText: json, cause: result.issues });
}

function issueWords({ message, path = [] }: StandardIssue): string {
  const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
  return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
}

function isStandardSchema(schema: Schema | undefined): schema is StandardSchema {
  // ArkType's schemas are functions.
  return schema !== undefined && typeof schema !== "string" && "~standard" in schema;
}

interface OwnConverters {
  readonly toJSONSchema?: () => JsonSchema;
  readonly toJsonSchema?: () => JsonSchema;
}

function standardToJsonSchema(schema: StandardSchema, what: string): JsonSchema {
  const { jsonSchema: converter, vendor } = schema["~standard"];
  const own = schema as StandardSchema & OwnConverters;
  try {
    // What the model writes is the schema's input.
    if (converter !== undefined) return converter.input({ target: "draft-2020-12" });
    if (own.toJSONSchema !== undefined) return own.toJSONSchema();
    if (own.toJsonSchema !== undefined) return own.toJsonSchema();
  } catch (cause) {
    throw invalidArgument(`${what} cannot be written as JSON Schema: ${wordsOf(cause)}`, cause);
  }
  throw invalidArgument(`${what} comes from ${vendor}, which gives no JSON Schema: pass the JSON Schema itself.`);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
