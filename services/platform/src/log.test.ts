import { expect, it } from "vitest";
import { createLogger, silentLogger } from "./log.ts";
import { createPrettyDestination, prettyLine } from "./log-pretty.ts";

function memory(): { lines: string[]; write(line: string): void } {
  const lines: string[] = [];
  return { lines, write: (line) => lines.push(line) };
}

it("writes one JSON line per event, from its level on, with bindings of children", () => {
  const destination = memory();
  const log = createLogger({ name: "drover-test", level: "info", destination });
  log.debug("unseen");
  log.child({ node: "a" }).warn({ waitMs: 5 }, "slow");
  log.info("plain");
  expect(destination.lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: "warn", name: "drover-test", node: "a", waitMs: 5, msg: "slow" },
    { level: "info", msg: "plain" },
  ]);
});

it("never writes what callers said or what opens doors", () => {
  const destination = memory();
  const log = createLogger({ name: "t", level: "debug", destination });
  log.info(
    {
      prompt: "PRIVATE",
      messages: ["PRIVATE"],
      content: "PRIVATE",
      authorization: "PRIVATE",
      token: "PRIVATE",
      model: "m",
    },
    "call",
  );
  expect(destination.lines.join("")).not.toContain("PRIVATE");
  expect(destination.lines.join("")).toContain('"model":"m"');
});

it("writes errors with their cause in one line", () => {
  const destination = memory();
  createLogger({ name: "t", destination }).error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
  expect(destination.lines).toHaveLength(1);
  expect(destination.lines[0]).toContain("inner");
});

it("shows a readable line on a terminal", () => {
  const shown: string[] = [];
  const destination = createPrettyDestination({ write: (line) => shown.push(line) });
  createLogger({ name: "t", destination }).warn(
    { model: "a:b", detail: "two words", err: new Error("bad\nthing"), count: 2 },
    "watch out",
  );
  expect(shown).toHaveLength(1);
  expect(shown[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} .*warn .* watch out model=a:b detail="two words" err="bad\\nthing" count=2\n$/,
  );
  expect(prettyLine("no json\n")).toBe("no json\n");
});

it("can say nothing at all", () => {
  silentLogger.child({}).error({ a: 1 }, "x");
  silentLogger.debug("x");
  silentLogger.info("x");
  silentLogger.warn("x");
});
