/**
 * Reads a request's JSON body and its fields, with the complaints of Go's JSON decoder, which is what Ollama's callers
 * see. Knows no route.
 */
import type { IncomingMessage } from "node:http";
import { errorTexts, OllamaError } from "../ollama-error.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Ollama has no limit; a simulator must. */
const LARGEST_BODY = 256 * 1024 * 1024;

export async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > LARGEST_BODY) throw new OllamaError(413, "request body too large");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

export function parseBody(text: string, goType: string): JsonObject {
  if (text.trim() === "") throw new OllamaError(400, errorTexts.missingBody);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OllamaError(400, syntaxError(text));
  }
  if (value === null) return {};
  if (!isObject(value))
    throw new OllamaError(400, `json: cannot unmarshal ${goKind(value)} into Go value of type api.${goType}`);
  return value;
}

/** Reads fields of one object; `goType` is what Go's messages call it. Null counts as absent. */
export function fieldReader(body: JsonObject, goType: string): FieldReader {
  const read = <T>(key: string, isOk: (value: unknown) => value is T, type: string): T | undefined => {
    const value = body[key];
    if (value === undefined || value === null) return undefined;
    if (isOk(value)) return value;
    throw new OllamaError(
      400,
      `json: cannot unmarshal ${goKind(value)} into Go struct field ${goType}.${key} of type ${type}`,
    );
  };
  return {
    text: (key) => read(key, isText, "string") ?? "",
    flag: (key) => read(key, isFlag, "bool"),
    integer: (key) => read(key, isInteger, "int"),
    object: (key) => read(key, isObject, "map[string]interface {}") ?? {},
    list: (key, type) => read(key, isList, type) ?? [],
  };
}

export interface FieldReader {
  /** Empty when absent. */
  text(key: string): string;
  flag(key: string): boolean | undefined;
  integer(key: string): number | undefined;
  object(key: string): JsonObject;
  list(key: string, goType: string): readonly unknown[];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isInteger(value: unknown): value is number {
  return Number.isInteger(value);
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" && !Number.isInteger(value)) return `number ${value}`;
  return typeof value;
}

function syntaxError(text: string): string {
  const start = text.trimStart().charAt(0);
  if ('{["'.includes(start)) return "unexpected EOF";
  return `invalid character '${start}' looking for beginning of value`;
}
