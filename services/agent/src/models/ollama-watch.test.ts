import { SimClock, silentLogger } from "@drover/platform";
import { beforeEach, describe, expect, test } from "vitest";
import { type OllamaAsker, OllamaTimeoutError } from "../ollama/ollama-client.ts";
import { NodeCondition } from "../status/node-condition.ts";
import { OllamaWatch } from "./ollama-watch.ts";

describe("the watch over Ollama", () => {
  let clock: SimClock;
  let answer: "ok" | "refused" | "timeout";
  let events: string[];
  let condition: NodeCondition;
  let watch: OllamaWatch;
  let probes: number;
  let breaks: number;
  let warnings: string[];

  beforeEach(() => {
    clock = new SimClock();
    answer = "ok";
    events = [];
    probes = 0;
    breaks = 0;
    warnings = [];
    condition = new NodeCondition(() => undefined);
    const ask: OllamaAsker["ask"] = async ({ path }) => {
      if (path === "/") probes++;
      if (breaks-- > 0) throw new Error("ECONNRESET");
      if (answer === "refused") throw new Error("ECONNREFUSED");
      if (answer === "timeout") throw new OllamaTimeoutError("slow");
      return { status: 200, text: path === "/api/version" ? '{"version":"0.24.0"}' : "" };
    };
    watch = new OllamaWatch({
      client: { ask, displayUrl: "http://ollama" },
      clock,
      log: { ...silentLogger, warn: (_: unknown, words?: unknown) => void warnings.push(String(words)) },
      condition,
      onReachable: async () => void events.push("reachable"),
      onUnreachable: () => void events.push("unreachable"),
    });
  });

  test("knows after its first look, with the version", async () => {
    await watch.start();
    expect([condition.isOllamaReachable, condition.ollamaVersion, events]).toEqual([true, "0.24.0", ["reachable"]]);
    await watch.stop();
    expect(clock.pendingCount).toBe(0);
  });

  test("sees an Ollama that starts later within two seconds", async () => {
    answer = "refused";
    await watch.start();
    expect(condition.isOllamaReachable).toBe(false);
    answer = "ok";
    await clock.advanceAsync(2_000);
    expect([condition.isOllamaReachable, events]).toEqual([true, ["reachable"]]);
    await watch.stop();
  });

  test("says at its start that no Ollama answers, and at its end nothing of one that is only asked no more", async () => {
    answer = "refused";
    await watch.start();
    watch.sayIfMissing();
    expect(warnings).toEqual([expect.stringContaining("ollama serve")]);
    answer = "ok";
    await clock.advanceAsync(2_000);
    const stopped = watch.stop();
    answer = "refused";
    await clock.advanceAsync(2_000);
    await stopped;
    expect(warnings).toHaveLength(1);
  });

  test("believes a refused connection at once, and slow answers only the third time", async () => {
    await watch.start();
    answer = "timeout";
    await clock.advanceAsync(2_000);
    expect(condition.isOllamaReachable).toBe(true);
    await clock.advanceAsync(1_000);
    expect([condition.isOllamaReachable, events]).toEqual([false, ["reachable", "unreachable"]]);
    answer = "ok";
    await clock.advanceAsync(1_000);
    answer = "refused";
    await clock.advanceAsync(1_000);
    expect(condition.isOllamaReachable).toBe(false);
    await watch.stop();
  });

  test("does not take one broken connection for an absent Ollama", async () => {
    await watch.start();
    breaks = 1;
    await clock.advanceAsync(1_000);
    expect([condition.isOllamaReachable, events]).toEqual([true, ["reachable"]]);
    await watch.stop();
  });

  test("looks once more, for all who ask together, before it tells a call that Ollama is away", async () => {
    answer = "refused";
    await watch.start();
    answer = "ok";
    const before = probes;
    expect(await Promise.all([watch.isReachable(), watch.isReachable()])).toEqual([true, true]);
    expect(probes).toBe(before + 1);
    await watch.stop();
  });
});
