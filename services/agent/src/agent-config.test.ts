import { loadConfig } from "@drover/platform";
import { expect, test } from "vitest";
import { exampleProblems } from "../../platform/src/testing/help-examples.ts";
import { agentConfig } from "./agent-config.ts";

test.each([
  ["--slots", ["1", "1024"], ["0", "1025", "1.5", "-1", "many"]],
  ["--queue-limit", ["1", "100000"], ["0", "100001", "1.5", "-1", "many"]],
  ["--num-ctx", ["4", "10000000"], ["3", "10000001", "4.5", "-4", "many"]],
  ["--weight", ["1", "65535"], ["0", "65536", "1.5", "-1", "many"]],
])("%s takes %j, and refuses %j by its name", (flag, good, bad) => {
  const load = (value: string) => loadConfig(agentConfig, { argv: [`${flag}=${value}`], env: {} });
  for (const value of good) expect(load(value).kind).toBe("ok");
  for (const value of bad)
    expect(load(value)).toMatchObject({ kind: "wrong", problems: [expect.stringContaining(flag)] });
});

test("has as many slots as OLLAMA_NUM_PARALLEL of its own environment says, where no flag does", () => {
  const slots = (argv: string[], env: Record<string, string>): unknown => {
    const loaded = loadConfig(agentConfig, { argv, env });
    return loaded.kind === "ok" ? loaded.config.slots : loaded;
  };
  expect(slots([], {})).toBe(1);
  expect(slots([], { OLLAMA_NUM_PARALLEL: "4" })).toBe(4);
  expect(slots(["--slots", "2"], { OLLAMA_NUM_PARALLEL: "4" })).toBe(2);
});

test("the examples of --help are right", () => {
  expect(exampleProblems(agentConfig)).toEqual([]);
});
