import { loadConfig } from "@drover/platform";
import { expect, test } from "vitest";
import { exampleProblems } from "../../platform/src/testing/help-examples.ts";
import { simConfig } from "./sim-config.ts";

const load = (...argv: string[]) => loadConfig(simConfig, { argv, env: {} });

test("defaults are those of Ollama", () => {
  expect(load("--models", "a, b:1b")).toEqual({
    kind: "ok",
    config: {
      listen: { host: "127.0.0.1", port: 11_434 },
      models: [{ name: "a" }, { name: "b:1b" }],
      slots: 1,
      speed: 50,
      prefillSpeed: 2000,
      loadSeconds: 0.5,
      context: 4096,
      answerTokens: 0,
      maxLoadedModels: 3,
      seed: 0,
    },
  });
});

test("a model may be told what it can do", () => {
  expect(load("--models", "a=embedding,b=completion+tools")).toMatchObject({
    config: {
      models: [
        { name: "a", capabilities: ["embedding"] },
        { name: "b", capabilities: ["completion", "tools"] },
      ],
    },
  });
});

test.each([
  [[], "--models: needs at least one name, as --models llama3.2:1b"],
  [["--models", ","], "--models: needs at least one name, as --models llama3.2:1b"],
  [["--models", "a=fly"], "NAME=CAPABILITY+CAPABILITY"],
  [["--models", "a b"], '--models "a b": must be a name that Ollama takes, as llama3.2:1b'],
  [["--models", "a", "--slots", "0"], '--slots "0": must be a whole number from 1 to 1024'],
  [["--models", "a", "--speed", "fast"], '--speed "fast": must be a number from 0.01 to 1000000'],
  [["--models", "a", "--listen", "here"], '--listen "here": must be HOST:PORT'],
])("%j is wrong in one sentence", (argv, words) => {
  const loaded = load(...argv);
  expect(loaded).toEqual({ kind: "wrong", problems: [expect.stringContaining(words)] });
});

test("all that is wrong is told at once", () => {
  const loaded = load("--models", "a", "--slots", "x", "--seed", "-1", "--sped", "3");
  expect(loaded.kind === "wrong" && loaded.problems).toHaveLength(3);
});

test("help names every flag", () => {
  const loaded = load("--help");
  for (const { flag } of Object.values(simConfig.options))
    expect(loaded.kind === "help" && loaded.text).toContain(`--${flag} `);
});

test("the examples of --help are right", () => {
  expect(exampleProblems(simConfig)).toEqual([]);
});
