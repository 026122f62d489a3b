/**
 * The YAML file of --config: keys are the flags' names. It turns values into the text that a flag would carry and complains about
 * what no flag could.
 */
import { readFileSync, statSync } from "node:fs";
import { parseDocument } from "yaml";
import { nearestNames } from "../nearest.ts";
import type { RawValues } from "./command-line.ts";
import type { Option } from "./define.ts";

/** A configuration is small; this is a wrong file. */
const LARGEST_FILE = 1024 * 1024;

export interface ConfigFile {
  readonly values: RawValues;
  readonly problems: readonly string[];
}

export function readConfigFile(path: string, options: readonly Option<unknown>[]): ConfigFile {
  const content = readDocument(path);
  if ("problem" in content) return { values: new Map(), problems: [content.problem] };
  const values = new Map<string, string | readonly string[] | true>();
  const problems: string[] = [];
  for (const [key, value] of Object.entries(content.keys)) {
    const known = options.find((each) => each.flag === key);
    const raw = toRaw(value);
    if (known === undefined) problems.push(unknownKey(path, key, options));
    else if (raw === undefined) problems.push(`${path}: ${key} must be a text, a number, a list or a map of texts`);
    else values.set(key, raw);
  }
  return { values, problems };
}

function readDocument(path: string): { readonly keys: object } | { readonly problem: string } {
  try {
    if (statSync(path).size > LARGEST_FILE) return { problem: `--config ${path}: larger than 1 MiB` };
    const document = parseDocument(readFileSync(path, "utf8"));
    const [error] = document.errors;
    if (error !== undefined) return { problem: `--config ${path}: ${error.message.split("\n", 1)[0] ?? "not YAML"}` };
    const keys: unknown = document.toJS() ?? {};
    if (typeof keys !== "object" || keys === null || Array.isArray(keys))
      return { problem: `--config ${path}: must hold \`key: value\` lines` };
    return { keys };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      problem: `--config ${path}: ${code === "ENOENT" ? "there is no such file" : `cannot be read (${code ?? String(error)})`}`,
    };
  }
}

/** A map stands for `key=value,…`, as labels are written. */
function toRaw(value: unknown): string | readonly string[] | undefined {
  if (Array.isArray(value)) return value.every(isScalar) ? value.map(String) : undefined;
  if (isScalar(value)) return String(value);
  if (typeof value !== "object" || value === null) return undefined;
  const entries = Object.entries(value);
  return entries.every(([, each]) => isScalar(each))
    ? entries.map(([key, each]) => `${key}=${each}`).join(",")
    : undefined;
}

function isScalar(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function unknownKey(path: string, key: string, options: readonly Option<unknown>[]): string {
  const [nearest] = nearestNames(
    key,
    options.map((each) => each.flag),
    1,
  );
  return `${path}: there is no key ${key}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
}
