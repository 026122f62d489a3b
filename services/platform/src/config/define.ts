/**
 * How a program describes its options: one table, from which flags, environment, file, help and the type of the configuration
 * follow. It reads nothing.
 */
import type { z } from "zod";

export type Env = Readonly<Record<string, string | undefined>>;

/** What all options say about themselves. */
interface OptionBase {
  /** The flag without dashes, `listen`; `DROVER_LISTEN` in the environment and `listen:` in the file follow from it. */
  readonly flag: string;
  /** One sentence without the default; says the unit where there is one. */
  readonly help: string;
  /** The heading in --help under which it stands. */
  readonly group: string;
}

interface TextOption<T> extends OptionBase {
  readonly kind: "text";
  /** What stands for the value in --help: `HOST:PORT`. */
  readonly value: string;
  readonly schema: z.ZodType<T, string>;
  /** As a user would write it. */
  readonly default?: string | ((env: Env) => string);
  /** In --help in place of a default that is computed. */
  readonly defaultHelp?: string;
  /** Makes the flag's value optional: what a flag without value means. */
  readonly bare?: (env: Env) => string;
}

interface ListOption<T> extends OptionBase {
  readonly kind: "list";
  readonly value: string;
  /** For each element; elements are separated by commas, or the flag is repeated. */
  readonly schema: z.ZodType<T, string>;
}

interface SwitchOption extends OptionBase {
  readonly kind: "switch";
}

/** `T` is what the program gets. */
export type Option<T> = (TextOption<unknown> | ListOption<unknown> | SwitchOption) & {
  readonly type?: () => T;
};

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

type ValueOf<O> = O extends { readonly type?: () => infer T } ? T : never;

/** What --help needs. */
export interface ProgramDescription {
  /** The program: `drover-router`. */
  readonly name: string;
  readonly version: string;
  /** One or two sentences at the top of --help. */
  readonly summary: string;
  /** Whole command lines, at the end of --help. */
  readonly examples: readonly string[];
  /** Variables beside DROVER_* that the program reads, with what each does. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly options: OptionTable;
}

export interface ConfigDefinition<C> extends ProgramDescription {
  readonly options: Readonly<Record<keyof C & string, Option<unknown>>>;
  /** Sentences on what contradicts each other; asked only when each value by itself is right. */
  readonly check?: (config: C) => readonly string[];
}

type ConfigOfTable<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** The type of a definition's configuration. */
export type ConfigOf<D> = D extends ConfigDefinition<infer C> ? C : never;

export function defineConfig<T extends OptionTable>(
  definition: Omit<ConfigDefinition<ConfigOfTable<T>>, "options"> & { readonly options: T },
): ConfigDefinition<ConfigOfTable<T>> {
  return definition;
}

/** An option with one value. Without `default` it is undefined where nobody gives it. */
export function option<T>(
  options: Omit<TextOption<T>, "kind"> & { readonly default: string | ((env: Env) => string) },
): Option<T>;
export function option<T>(options: Omit<TextOption<T>, "kind" | "default">): Option<T | undefined>;
export function option<T>(options: Omit<TextOption<T>, "kind">): Option<T | undefined> {
  return { kind: "text", ...options };
}

/** An option that may be given more than once; empty by default. */
export function listOption<T>(options: Omit<ListOption<T>, "kind">): Option<readonly T[]> {
  return { kind: "list", ...options };
}

/** An option that is on when it is given; off by default. */
export function switchOption(options: OptionBase): Option<boolean> {
  return { kind: "switch", ...options };
}

/** `DROVER_FIRST_TOKEN_TIMEOUT` of `first-token-timeout`. */
export function envNameOf(flag: string): string {
  return `DROVER_${flag.replaceAll("-", "_").toUpperCase()}`;
}
