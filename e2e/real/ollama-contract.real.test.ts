import { describe } from "vitest";
import { describeBusyOllama, describeOllama } from "../src/ollama.contract.ts";
import { requireRealOllama, startRealOllama } from "../src/real-ollama.ts";

describe.runIf(requireRealOllama())("with the real program", () => {
  describeOllama("the real Ollama", async () => {
    const ollama = await startRealOllama();
    return {
      url: ollama.url,
      chat: ollama.models.chat,
      tools: ollama.models.tools,
      crashRunner: async () => {
        for (const pid of await ollama.runnerPids()) process.kill(pid, "SIGKILL");
      },
      close: ollama.close,
    };
  });

  describeBusyOllama("the real Ollama with two slots", async () => {
    const ollama = await startRealOllama({ slots: 2, environment: { OLLAMA_MAX_QUEUE: "1" } });
    return { url: ollama.url, chat: ollama.models.chat, close: ollama.close };
  });
});
