/** README's tables say what the programs say: every flag of --help stands there with its default, and no other. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runDrover } from "../src/drover-process.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** Every program has these; they need no row. */
const WITHOUT_ROW = new Set(["--help", "--version"]);

function flagsOfHelp(help: string): string[] {
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)]
    .map(([, flag]) => flag ?? "")
    .filter((flag) => !WITHOUT_ROW.has(flag));
}

function flagsOfTables(...headings: string[]): string[] {
  return headings.flatMap((heading) => {
    const table = readme.slice(readme.indexOf(`| ${heading} | default |`)).split("\n\n")[0] ?? "";
    return [...table.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, flag]) => flag ?? "");
  });
}

describe("README's tables of flags", () => {
  it.each([
    ["router", ["both programs", "router"]],
    ["agent", ["both programs", "agent"]],
  ] as const)("name each flag of the %s, and no other", async (program, headings) => {
    const { stdout, code } = await runDrover(program, ["--help"]);
    expect(code).toBe(0);
    expect(flagsOfTables(...headings).sort()).toEqual(flagsOfHelp(stdout).sort());
  });
});
