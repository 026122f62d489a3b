import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { describeOllamaRoom } from "../src/ollama-room.contract.ts";
import { importOtherWeights, requireRealOllama, startRealOllama } from "../src/real-ollama.ts";

describe.runIf(requireRealOllama())("with the real program", () => {
  describeOllamaRoom("the real Ollama with room for two models", async () => {
    // Models of its own: the shared ones are counted by other tests.
    const folder = await mkdtemp(join(tmpdir(), "drover-room-"));
    const ollama = await startRealOllama({
      slots: 2,
      environment: { OLLAMA_MAX_LOADED_MODELS: "2", OLLAMA_MODELS: folder },
    });
    const [second, third] = ["second:135m", "third:135m"];
    await importOtherWeights(ollama.url, second, "x");
    await importOtherWeights(ollama.url, third, "y");
    const close = async (): Promise<void> => {
      await ollama.close();
      await rm(folder, { recursive: true, force: true });
    };
    return { url: ollama.url, chat: ollama.models.chat, twin: ollama.models.tools, second, third, close };
  });
});
