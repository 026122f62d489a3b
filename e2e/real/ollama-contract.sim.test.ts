import { createSimOllama } from "@drover/sim-ollama";
import { describeBusyOllama, describeOllama } from "../src/ollama.contract.ts";
import { post } from "../src/ollama-http.ts";
import { startSimOllama } from "../src/sim-ollama-process.ts";

const chat = "smollm2:135m";
const tools = "smollm2-tools:135m";

describeOllama("the simulated Ollama", async () => {
  const models = `${chat}=completion,${tools}=completion+tools`;
  const ollama = await startSimOllama(["--models", models, "--speed", "60", "--prefill-speed", "800"]);
  return {
    url: ollama.url,
    chat,
    tools,
    crashRunner: async (model) => {
      await post(ollama.url, "/sim/crash", { model });
    },
    close: ollama.close,
  };
});

describeBusyOllama("the simulated Ollama with two slots", async () => {
  const ollama = await createSimOllama({ models: [chat], slots: 2, maxQueue: 1, speed: 60 });
  return { url: ollama.url, chat, close: ollama.close };
});
