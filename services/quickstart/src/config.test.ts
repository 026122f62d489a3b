import { loadConfig } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { exampleProblems } from "../../platform/src/testing/help-examples.ts";
import { startConfig } from "./config.ts";

function problems(argv: readonly string[], env: Record<string, string> = {}): readonly string[] {
  const loaded = loadConfig(startConfig, { argv, env });
  return loaded.kind === "wrong" ? loaded.problems : [];
}

describe("the flags of npm start", () => {
  test("default to the router's usual port, no named Ollama, a sample, and quiet programs", () => {
    expect(loadConfig(startConfig, { argv: [], env: {} })).toEqual({
      kind: "ok",
      config: {
        ollamaUrls: [],
        listen: { host: "127.0.0.1", port: 50051 },
        isConsul: false,
        corsOrigins: [],
        isSampleOff: false,
        isVerbose: false,
      },
    });
  });

  test("take Ollamas as Ollama's own programs do, one by one or separated by commas", () => {
    const argv = ["--ollama", "gpu-1", "--ollama", "http://gpu-2:8080/base/,:1234", "--no-sample", "--verbose"];
    expect(loadConfig(startConfig, { argv, env: {} })).toMatchObject({
      kind: "ok",
      config: {
        ollamaUrls: ["http://gpu-1:11434", "http://gpu-2:8080/base", "http://127.0.0.1:1234"],
        isSampleOff: true,
        isVerbose: true,
      },
    });
  });

  test("are refused in one sentence each", () => {
    expect(problems(["--olama", "x"])).toEqual(["--olama: there is no such flag; did you mean --ollama?"]);
    expect(problems(["--listen", "nowhere"])).toEqual(['--listen "nowhere": must be HOST:PORT, as 127.0.0.1:50051']);
    expect(problems(["--ollama", "http://"])).toEqual([
      '--ollama "http://": must be the address of an Ollama, as http://127.0.0.1:11434',
    ]);
    expect(problems(["--listen", "0.0.0.0:50051"])).toEqual([
      expect.stringMatching(/^--listen 0\.0\.0\.0: npm start serves this machine only; .*"Two machines"\)$/),
    ]);
  });

  test("are all in the help", () => {
    const loaded = loadConfig(startConfig, { argv: ["--help"], env: {} });
    if (loaded.kind !== "help") throw new Error(loaded.kind);
    for (const text of [
      "Usage: npm start -- [options]",
      "--ollama <URL>",
      "--listen <HOST:PORT>",
      "--no-sample",
      "--verbose",
    ]) {
      expect(loaded.text).toContain(text);
    }
  });
});

test("the examples of --help are right", () => {
  expect(exampleProblems(startConfig, "npm start")).toEqual([]);
});
