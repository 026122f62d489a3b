/** The flags of `drover-sim-ollama`: their meaning, their help and what is wrong with them. Starts nothing. */
import { parseArgs } from "node:util";
import type { Capability, ModelConfig } from "./model-catalog.ts";
import type { SimOllamaOptions } from "./sim-ollama.ts";

export type CommandLine =
  | { readonly kind: "run"; readonly options: SimOllamaOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "wrong"; readonly sentence: string };

const HELP = `Usage: drover-sim-ollama --models NAME[,NAME] [flags]

An Ollama that needs no GPU and no download: it invents text at a set speed and otherwise behaves like Ollama 0.24.0.
Every listed name answers generate and chat. Names with "embed" in them are embedding models too, names with
"vision" take images, names with "think" think first; NAME=completion+tools says what a model can do instead.

  --models NAME[,NAME]          the models it has (required)
  --listen HOST:PORT            where it listens; port 0 takes any free one (default 127.0.0.1:11434)
  --slots N                     requests that run at once per model; more wait (default 1)
  --speed TOKENS_PER_SECOND     how fast each slot writes (default 50)
  --prefill-speed TOKENS_PER_SECOND
                                how fast it reads prompts (default 2000)
  --load-seconds SECONDS        how long loading a model takes (default 0.5)
  --context TOKENS              num_ctx where the caller names none (default 4096)
  --answer-tokens N             length of every answer; 0 leaves it to chance (default 0)
  --seed N                      picks the text: equal seeds write equal text at temperature 0 (default 0)
  --help                        this text

While it runs, PUT and DELETE /sim/faults script what goes wrong, and GET /sim/requests tells what came in.
`;

const FLAGS = {
  models: { type: "string" },
  listen: { type: "string" },
  slots: { type: "string" },
  speed: { type: "string" },
  "prefill-speed": { type: "string" },
  "load-seconds": { type: "string" },
  context: { type: "string" },
  "answer-tokens": { type: "string" },
  seed: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

export function readCommandLine(args: readonly string[]): CommandLine {
  try {
    const { values } = parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false });
    if (values.help === true) return { kind: "help", text: HELP };
    return { kind: "run", options: { ...readAddress(values.listen ?? "127.0.0.1:11434"), ...readSimulation(values) } };
  } catch (error) {
    const words = error instanceof Error ? (error.message.split(". ")[0] ?? error.message) : String(error);
    return { kind: "wrong", sentence: `${words.replace(/\.$/, "")}. Try --help.` };
  }
}

type Values = Readonly<Partial<Record<keyof typeof FLAGS, string | boolean>>>;

function readSimulation(values: Values): SimOllamaOptions {
  const models = String(values.models ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map(readModel);
  if (models.length === 0) throw new Error("--models needs at least one name, such as --models llama3.2:1b");
  return {
    models,
    slots: readNumber(values, "slots", 1, { least: 1, most: 1024, isWhole: true }),
    speed: readNumber(values, "speed", 50, { least: 0.01, most: 1e6, isWhole: false }),
    prefillSpeed: readNumber(values, "prefill-speed", 2000, { least: 0.01, most: 1e9, isWhole: false }),
    loadSeconds: readNumber(values, "load-seconds", 0.5, { least: 0, most: 86_400, isWhole: false }),
    context: readNumber(values, "context", 4096, { least: 4, most: 32_768, isWhole: true }),
    answerTokens: readNumber(values, "answer-tokens", 0, { least: 0, most: 1e6, isWhole: true }),
    seed: readNumber(values, "seed", 0, { least: 0, most: 2 ** 32 - 1, isWhole: true }),
  };
}

const CAPABILITIES: readonly Capability[] = ["completion", "tools", "insert", "vision", "embedding", "thinking"];

function readModel(text: string): string | ModelConfig {
  const [name = "", list] = text.split("=");
  if (list === undefined) return name;
  const capabilities = list.split("+").map((word) => {
    const known = CAPABILITIES.find((capability) => capability === word);
    if (known === undefined) throw new Error(`--models: a model can do ${CAPABILITIES.join(", ")}, but not "${word}"`);
    return known;
  });
  return { name, capabilities };
}

interface Range {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
}

function readNumber(values: Values, flag: keyof typeof FLAGS, fallback: number, range: Range): number {
  const text = values[flag];
  if (text === undefined) return fallback;
  const number = text === "" ? Number.NaN : Number(text);
  if (number >= range.least && number <= range.most && (!range.isWhole || Number.isInteger(number))) return number;
  const kind = range.isWhole ? "a whole number" : "a number";
  throw new Error(`--${flag} must be ${kind} from ${range.least} to ${range.most}, not "${String(text)}"`);
}

function readAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new Error(`--listen must be HOST:PORT, such as 127.0.0.1:11434, not "${text}"`);
  const host = match[1] ?? match[2] ?? "";
  return { host: host === "" ? "127.0.0.1" : host, port };
}
