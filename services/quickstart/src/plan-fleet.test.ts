import { ConfigError } from "@drover/platform";
import { describe, expect, test } from "vitest";
import type { OllamaProbe } from "./ollama-probe.ts";
import { planFleet } from "./plan-fleet.ts";
import { StartError } from "./start-error.ts";

/** Only these answer. */
function fleet(answering: readonly string[]) {
  const printed: string[] = [];
  const asked: string[] = [];
  const probe = async (url: string): Promise<OllamaProbe> => {
    asked.push(url);
    return answering.includes(url)
      ? { kind: "answers", url, version: "0.24.0" }
      : { kind: "silent", url, why: "connection refused" };
  };
  const plan = (ollamaUrls: readonly string[], ollamaHost?: string) =>
    planFleet({ ollamaUrls, ollamaHost, probe, print: (text) => void printed.push(text) });
  return { plan, printed, asked };
}

describe("the fleet of npm start", () => {
  test("is the local Ollama where one answers, without a word", async () => {
    const { plan, printed, asked } = fleet(["http://127.0.0.1:11434"]);
    expect(await plan([])).toEqual([
      { name: "local-11434", source: { kind: "ollama", url: "http://127.0.0.1:11434", version: "0.24.0" } },
    ]);
    expect([asked, printed]).toEqual([["http://127.0.0.1:11434"], []]);
  });

  test("is looked for where OLLAMA_HOST says", async () => {
    const { plan } = fleet(["http://127.0.0.1:4000"]);
    expect((await plan([], "0.0.0.0:4000")).map(({ name }) => name)).toEqual(["local-4000"]);
  });

  test("is simulated where none answers, and says so", async () => {
    const { plan, printed } = fleet([]);
    expect((await plan([], "gpu-1")).map(({ name }) => name)).toEqual(["sim-fast", "sim-medium", "sim-slow"]);
    expect(printed.join("")).toMatch(
      /^No Ollama answered at http:\/\/gpu-1:11434 \(connection refused\): using three simulated nodes, .* pass --ollama URL\.\n$/,
    );
  });

  test("is every named Ollama that answers, once; of the others it tells", async () => {
    const { plan, printed, asked } = fleet(["http://a:1", "http://b:2"]);
    const plans = await plan(["http://a:1", "http://c:3", "http://b:2", "http://a:1"], "ignored:5");
    expect(plans.map(({ name }) => name)).toEqual(["a-1", "b-2"]);
    expect(asked).toEqual(["http://a:1", "http://c:3", "http://b:2"]);
    expect(printed).toEqual(["No Ollama answered at http://c:3 (connection refused): going on without it.\n"]);
  });

  test("is refused where Ollamas were named and none answers, or where OLLAMA_HOST is no address", async () => {
    const { plan } = fleet([]);
    await expect(plan(["http://a:1", "http://b:2"])).rejects.toThrow(StartError);
    await expect(plan(["http://a:1", "http://b:2"])).rejects.toThrow(
      "no Ollama answered at http://a:1 (connection refused), http://b:2 (connection refused); start it with",
    );
    await expect(plan([], "http://")).rejects.toThrow(ConfigError);
  });
});
