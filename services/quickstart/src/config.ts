/** The flags of `npm start`: their meaning, defaults and limits. It starts nothing. */
import {
  type ConfigOf,
  defineConfig,
  hostPort,
  isLoopbackHost,
  listOption,
  ollamaHostUrl,
  option,
  origin,
  switchOption,
  textSchema,
} from "@drover/platform";
import manifest from "../package.json" with { type: "json" };

export const startConfig = defineConfig({
  name: "npm start --",
  version: manifest.version,
  summary:
    "Starts a router and an agent for each Ollama that answers, or simulated nodes, and sends one prompt through.",
  examples: [
    "npm start",
    "npm start -- --ollama http://127.0.0.1:11434 --ollama http://gpu-1:11434",
    "npm start -- --listen 127.0.0.1:50061 --verbose",
    "npm start -- --consul",
  ],
  options: {
    ollamaUrls: listOption({
      flag: "ollama",
      value: "URL",
      schema: ollamaAddress(),
      group: "Discovery",
      help: "An Ollama that becomes a node; without it OLLAMA_HOST, else http://127.0.0.1:11434.",
    }),
    isConsul: switchOption({
      flag: "consul",
      group: "Discovery",
      help: "Starts a Consul of its own too, through which the router finds the agents; needs `consul` on PATH.",
    }),
    listen: option({
      flag: "listen",
      value: "HOST:PORT",
      schema: hostPort(),
      default: "127.0.0.1:50051",
      group: "Listening",
      help: "Where callers reach the router, on this machine; port 0 takes any free one.",
    }),
    corsOrigins: listOption({
      flag: "cors-origin",
      value: "ORIGIN",
      schema: origin(),
      group: "Listening",
      help: "The origin of web pages, as http://127.0.0.1:8080, whose scripts may call the router; * allows all.",
    }),
    isSampleOff: switchOption({ flag: "no-sample", group: "Output", help: "Sends no sample prompt." }),
    isVerbose: switchOption({
      flag: "verbose",
      group: "Output",
      help: "Shows what router, agents and simulated nodes log.",
    }),
  },
  check: ({ listen }) =>
    isLoopbackHost(listen.host)
      ? []
      : [
          `--listen ${listen.host}: npm start serves this machine only; for others use npm run router and npm run agent (README, "Two machines")`,
        ],
});

export type StartConfig = ConfigOf<typeof startConfig>;

function ollamaAddress(): ReturnType<typeof textSchema<string>> {
  return textSchema((text) => {
    const value = ollamaHostUrl(text);
    return value === undefined ? { problem: "the address of an Ollama, as http://127.0.0.1:11434" } : { value };
  });
}
