/**
 * Flags and --help by commander. It collects raw text and complaints; what the text means is decided in load.ts, alike for all
 * sources.
 */
import { Command, CommanderError, Option as CommanderOption } from "commander";
import { nearestNames } from "../nearest.ts";
import { envNameOf, type Option, type ProgramDescription } from "./define.ts";

/** Raw values by flag: text, the elements of a list, `true` for a switch or for a flag without its optional value. */
export type RawValues = ReadonlyMap<string, string | readonly string[] | true>;

export type CommandLine =
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "values"; readonly values: RawValues; readonly problems: readonly string[] };

/** `argv` is what follows the program's name. */
export function readCommandLine(definition: ProgramDescription, argv: readonly string[]): CommandLine {
  let output = "";
  const options = Object.values<Option<unknown>>(definition.options);
  const command = createCommand(definition, options).configureOutput({
    writeOut: (text) => {
      output += text;
    },
    writeErr: () => undefined,
    getOutHelpWidth: () => 120,
  });
  try {
    const rest = command.parseOptions([...argv]);
    if (rest.unknown.some((each) => each === "--help" || each === "-h")) command.outputHelp();
    if (output !== "") return { kind: "help", text: output };
    return { kind: "values", values: valuesOf(command, options), problems: strangers(rest, options) };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "help", text: output };
    return { kind: "values", values: new Map(), problems: [sentence(error.message)] };
  }
}

function createCommand(definition: ProgramDescription, options: readonly Option<unknown>[]): Command {
  const command = new Command(definition.name).description(definition.summary).usage("[options]").exitOverride();
  for (const each of options) command.addOption(toCommander(each));
  // After the options of the program, because groups stand in the order in which they first come.
  command
    .optionsGroup("Operations:")
    .version(
      `${definition.name} ${definition.version} (Node ${process.versions.node})`,
      "--version",
      "Prints the version.",
    )
    .helpOption("-h, --help", "Prints this.");
  return command.addHelpText("after", `\n${helpFooter(definition, options)}`);
}

/** What holds for more than one flag, and whole command lines. */
function helpFooter(definition: ProgramDescription, options: readonly Option<unknown>[]): string {
  const hasFile = options.some((each) => each.flag === "config");
  const hasDuration = options.some((each) => each.kind === "text" && each.value === "DURATION");
  const variables = Object.entries(definition.variables ?? {});
  const width = Math.max(...variables.map(([name]) => name.length));
  return [
    `Flags win over the environment (DROVER_*)${hasFile ? ", the environment over the file of --config" : ""}.`,
    ...(hasDuration ? ["Durations carry their unit: 500ms, 30s, 5m, 1h."] : []),
    ...(variables.length > 0 ? ["\nOther variables:"] : []),
    ...variables.map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`),
    "\nExamples:",
    ...definition.examples.map((example) => `  ${example}`),
  ].join("\n");
}

function toCommander(each: Option<unknown>): CommanderOption {
  const result = new CommanderOption(flagsOf(each), describe(each)).helpGroup(`${each.group}:`);
  if (each.kind === "list") result.argParser((value: string, earlier: readonly string[] = []) => [...earlier, value]);
  return result;
}

function flagsOf(each: Option<unknown>): string {
  switch (each.kind) {
    case "switch":
      return `--${each.flag}`;
    case "list":
      return `--${each.flag} <${each.value}>`;
    case "text":
      return each.bare === undefined ? `--${each.flag} <${each.value}>` : `--${each.flag} [${each.value}]`;
  }
}

function describe(each: Option<unknown>): string {
  const notes = [`default ${defaultOf(each)}`, `env ${envNameOf(each.flag)}`];
  if (each.kind === "list") notes.splice(1, 0, "may be repeated");
  return `${each.help} (${notes.join("; ")})`;
}

function defaultOf(each: Option<unknown>): string {
  if (each.kind === "switch") return "off";
  if (each.kind === "list") return "none";
  const text = each.defaultHelp ?? each.default;
  return typeof text === "string" && text !== "" ? text : "none";
}

function valuesOf(command: Command, options: readonly Option<unknown>[]): RawValues {
  const values = new Map<string, string | readonly string[] | true>();
  for (const each of command.options) {
    const name = each.attributeName();
    if (command.getOptionValueSource(name) !== "cli") continue;
    const flag = options.find((known) => `--${known.flag}` === each.long)?.flag;
    // Commander takes --no-x as x turned off; here it is a switch of its own that was given.
    const value: unknown = each.negate || command.getOptionValue(name);
    if (flag !== undefined) values.set(flag, value as string | readonly string[] | true);
  }
  return values;
}

/** All that is no flag of this program, at once. */
function strangers(
  rest: { readonly operands: readonly string[]; readonly unknown: readonly string[] },
  options: readonly Option<unknown>[],
): string[] {
  const flags = options.map((each) => `--${each.flag}`);
  const unknown = rest.unknown.filter((each) => each.startsWith("-"));
  const problems = unknown.map((each) => {
    const flag = each.split("=", 1)[0] ?? each;
    const [nearest] = nearestNames(flag, flags, 1);
    return `${flag}: there is no such flag${nearest === undefined ? "; --help lists all" : `; did you mean ${nearest}?`}`;
  });
  // Behind an unknown flag a word is most likely that flag's value.
  const words = unknown.length > 0 ? rest.operands : [...rest.operands, ...rest.unknown];
  return [...problems, ...words.map((word) => `${word}: flags start with --; --help lists all`)];
}

/** Commander's complaints in our words: it stops at the first flag without its value. */
function sentence(message: string): string {
  const missing = /option '(--\S+) <([^>]+)>' argument missing/.exec(message);
  return missing === null ? message.replace(/^error: /, "") : `${missing[1]}: needs a value, ${missing[2]}`;
}
