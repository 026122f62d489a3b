import { createSimOllama } from "@drover/sim-ollama";
import { describeOllamaRoom } from "../src/ollama-room.contract.ts";

describeOllamaRoom("the simulated Ollama with room for two models", async () => {
  const names = { chat: "chat:1b", twin: "twin:1b", second: "second:1b", third: "third:1b" };
  const ollama = await createSimOllama({
    models: [names.chat, { name: names.twin, weightsOf: names.chat }, names.second, names.third],
    maxLoadedModels: 2,
    slots: 2,
    speed: 60,
    answerTokens: 500,
  });
  return { ...names, url: ollama.url, close: ollama.close };
});
