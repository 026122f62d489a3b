/**
 * A program's configuration from flags, environment and file, in this order of strength, with everything that is wrong in any
 * of them at once. It starts nothing.
 */
import { ConfigError } from "../config-error.ts";
import { type CommandLine, type RawValues, readCommandLine } from "./command-line.ts";
import { readConfigFile } from "./config-file.ts";
import { type ConfigDefinition, type Env, envNameOf, type Option } from "./define.ts";

export interface ConfigSources {
  /** What follows the program's name. */
  readonly argv: readonly string[];
  readonly env: Env;
}

export type LoadedConfig<C> =
  | { readonly kind: "ok"; readonly config: C }
  /** --help or --version: print the text and end with 0. */
  | { readonly kind: "help"; readonly text: string }
  /** One sentence per wrong key. */
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

/** The flag whose value is the file; a program without it reads none. */
const CONFIG_FLAG = "config";

export function loadConfig<C>(definition: ConfigDefinition<C>, sources: ConfigSources): LoadedConfig<C> {
  const options = Object.entries<Option<unknown>>(definition.options);
  const commandLine: CommandLine = readCommandLine(definition, sources.argv);
  if (commandLine.kind === "help") return commandLine;
  const problems = [...commandLine.problems];
  const file = readFile(options, commandLine.values, sources.env);
  problems.push(...file.problems);
  const config: Record<string, unknown> = {};
  for (const [key, each] of options) {
    const found = findRaw(each, commandLine.values, file.values, sources.env);
    const read = readValue(each, found, sources.env);
    if ("problem" in read) problems.push(read.problem);
    else config[key] = read.value;
  }
  if (problems.length === 0) problems.push(...(definition.check?.(config as C) ?? []));
  return problems.length === 0 ? { kind: "ok", config: config as C } : { kind: "wrong", problems };
}

/** The same for a program's `main`: undefined after --help, which it prints; throws a ConfigError with all problems. */
export function configOrHelp<C>(
  definition: ConfigDefinition<C>,
  sources: ConfigSources & { readonly print: (text: string) => void },
): C | undefined {
  const loaded = loadConfig(definition, sources);
  switch (loaded.kind) {
    case "ok":
      return loaded.config;
    case "help":
      sources.print(loaded.text);
      return undefined;
    case "wrong":
      throw new ConfigError(loaded.problems);
  }
}

function readFile(
  options: readonly [string, Option<unknown>][],
  flags: RawValues,
  env: Env,
): { readonly values: RawValues; readonly problems: readonly string[] } {
  const hasFile = options.some(([, each]) => each.flag === CONFIG_FLAG);
  const path = hasFile ? (flags.get(CONFIG_FLAG) ?? env[envNameOf(CONFIG_FLAG)]) : undefined;
  if (typeof path !== "string" || path === "") return { values: new Map(), problems: [] };
  const known = options.map(([, each]) => each).filter((each) => each.flag !== CONFIG_FLAG);
  return readConfigFile(path, known);
}

interface Found {
  readonly raw: string | readonly string[] | true;
  /** Where it stands, for complaints: `--listen`, `DROVER_LISTEN`, `listen in the file`. */
  readonly place: string;
}

function findRaw(each: Option<unknown>, flags: RawValues, file: RawValues, env: Env): Found | undefined {
  const flag = flags.get(each.flag);
  if (flag !== undefined) return { raw: flag, place: `--${each.flag}` };
  const envName = envNameOf(each.flag);
  const envValue = env[envName];
  // An empty variable is how shells and compose files say "not set".
  if (envValue !== undefined && envValue !== "") return { raw: envValue, place: envName };
  const fileValue = file.get(each.flag);
  return fileValue === undefined ? undefined : { raw: fileValue, place: `${each.flag} in the file` };
}

type Read = { readonly value: unknown } | { readonly problem: string };

function readValue(each: Option<unknown>, found: Found | undefined, env: Env): Read {
  switch (each.kind) {
    case "switch":
      return readSwitch(found);
    case "list":
      return readList(each, found);
    case "text":
      return readText(each, found, env);
  }
}

const SWITCH_WORDS: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  yes: true,
  1: true,
  false: false,
  off: false,
  no: false,
  0: false,
};

function readSwitch(found: Found | undefined): Read {
  if (found === undefined || found.raw === true) return { value: found !== undefined };
  const value = SWITCH_WORDS[String(found.raw).toLowerCase()];
  return value === undefined ? { problem: `${found.place} ${String(found.raw)}: must be true or false` } : { value };
}

function readList(each: Extract<Option<unknown>, { kind: "list" }>, found: Found | undefined): Read {
  if (found === undefined || found.raw === true) return { value: [] };
  const parts = [found.raw].flat().flatMap((part) => part.split(","));
  const values: unknown[] = [];
  for (const part of parts.map((text) => text.trim()).filter((text) => text !== "")) {
    const read = parse(each.schema, part, found.place);
    if ("problem" in read) return read;
    values.push(read.value);
  }
  return { value: values };
}

function readText(each: Extract<Option<unknown>, { kind: "text" }>, found: Found | undefined, env: Env): Read {
  const isBare = found?.raw === true || (each.bare !== undefined && found?.raw === "true");
  if (each.bare !== undefined && isBare) return parse(each.schema, each.bare(env), `--${each.flag}`);
  if (found !== undefined && found.raw !== true) return parse(each.schema, [found.raw].flat().join(","), found.place);
  if (each.default === undefined) return { value: undefined };
  const text = typeof each.default === "string" ? each.default : each.default(env);
  return parse(each.schema, text, `the default of --${each.flag}`);
}

function parse(schema: Extract<Option<unknown>, { kind: "text" }>["schema"], text: string, place: string): Read {
  const result = schema.safeParse(text);
  if (result.success) return { value: result.data };
  const [issue] = result.error.issues;
  return {
    problem: `${place} ${JSON.stringify(withoutPassword(text))}: must be ${issue?.message ?? "something else"}`,
  };
}

/** Complaints end in logs: `http://user:password@host` goes there without its middle. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/]*@/, "//…@");
}
