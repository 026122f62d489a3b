/** The flags of `drover-sim-ollama`: their meaning, defaults and limits. It starts nothing. */
import {
  type ConfigOf,
  defineConfig,
  hostPort,
  integer,
  listOption,
  number,
  option,
  textSchema,
} from "@drover/platform";
import type { Capability, ModelConfig } from "./model-catalog.ts";
import { readModelReference } from "./model-reference.ts";
import { VERSION } from "./version.ts";

export const simConfig = defineConfig({
  name: "drover-sim-ollama",
  version: VERSION,
  summary:
    "An Ollama that needs no GPU and no download: it invents text at a set speed and otherwise behaves like Ollama 0.24. " +
    "While it runs, PUT and DELETE /sim/faults script what goes wrong, and GET /sim/requests tells what came in.",
  examples: [
    "drover-sim-ollama --models llama3.2:1b,nomic-embed-text",
    "drover-sim-ollama --models llama3 --listen 127.0.0.1:0 --slots 4 --speed 120 --load-seconds 2",
  ],
  options: {
    models: listOption({
      flag: "models",
      value: "NAME,…",
      schema: modelConfig(),
      group: "Models",
      help:
        'The models it has. All generate and chat; "embed" in a name adds embedding, "vision" images, "think" thinking. ' +
        "NAME=completion+tools says what a model can do instead.",
    }),
    maxLoadedModels: option({
      flag: "max-loaded-models",
      value: "COUNT",
      schema: integer(1, 1024),
      default: "3",
      group: "Models",
      help: "How many it keeps in memory; one makes room for the next.",
    }),
    context: option({
      flag: "context",
      value: "TOKENS",
      schema: integer(4, 32_768),
      default: "4096",
      group: "Models",
      help: "The context of a model where the caller names none.",
    }),
    answerTokens: option({
      flag: "answer-tokens",
      value: "TOKENS",
      schema: integer(0, 1_000_000),
      default: "0",
      group: "Models",
      help: "How long every answer is; 0 leaves it to chance, about 40.",
    }),
    seed: option({
      flag: "seed",
      value: "NUMBER",
      schema: integer(0, 4_294_967_295),
      default: "0",
      group: "Models",
      help: "Picks the text: equal seeds write equal text at temperature 0.",
    }),
    listen: option({
      flag: "listen",
      value: "HOST:PORT",
      schema: hostPort(),
      default: "127.0.0.1:11434",
      group: "Listening",
      help: "Where it answers; port 0 takes a free one.",
    }),
    slots: option({
      flag: "slots",
      value: "COUNT",
      schema: integer(1, 1024),
      default: "1",
      group: "Speed",
      help: "Requests that run at once per model; more wait.",
    }),
    speed: option({
      flag: "speed",
      value: "TOKENS_PER_SECOND",
      schema: number(0.01, 1_000_000),
      default: "50",
      group: "Speed",
      help: "How fast each slot writes.",
    }),
    prefillSpeed: option({
      flag: "prefill-speed",
      value: "TOKENS_PER_SECOND",
      schema: number(0.01, 1_000_000_000),
      default: "2000",
      group: "Speed",
      help: "How fast it reads prompts.",
    }),
    loadSeconds: option({
      flag: "load-seconds",
      value: "SECONDS",
      schema: number(0, 86_400),
      default: "0.5",
      group: "Speed",
      help: "How long loading a model takes.",
    }),
  },
  check: ({ models }) => (models.length === 0 ? ["--models: needs at least one name, as --models llama3.2:1b"] : []),
});

export type SimConfig = ConfigOf<typeof simConfig>;

const CAPABILITIES: readonly Capability[] = ["completion", "tools", "insert", "vision", "embedding", "thinking"];

/** `llama3` or `llama3=completion+tools`. */
function modelConfig(): ReturnType<typeof textSchema<ModelConfig>> {
  return textSchema<ModelConfig>((text) => {
    const [name = "", list] = text.split("=");
    if (readModelReference(name).kind !== "name") return { problem: "a name that Ollama takes, as llama3.2:1b" };
    if (list === undefined) return { value: { name } };
    const capabilities = CAPABILITIES.filter((capability) => list.split("+").includes(capability));
    if (capabilities.length !== list.split("+").length) {
      return { problem: `NAME=CAPABILITY+CAPABILITY; there are ${CAPABILITIES.join(", ")}` };
    }
    return { value: { name, capabilities } };
  });
}
