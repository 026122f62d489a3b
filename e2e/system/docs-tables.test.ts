/** The tables of the docs say what the programs say: every flag of --help and every way in which a call can end, and no other. */
import { readFileSync } from "node:fs";
import { type Blame, type Elsewhere, ENDINGS, type EndingKind, reasonOf } from "@drover/platform";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { type Program, runDrover } from "../src/drover-process.ts";

const readDocs = (page: string): string => readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");

/** Every program has these; they need no row. */
const WITHOUT_ROW = new Set(["--help", "--version"]);

function flagsOfHelp(help: string): string[] {
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)]
    .map(([, flag]) => flag ?? "")
    .filter((flag) => !WITHOUT_ROW.has(flag));
}

function flagsOfReference(program: Program): string[] {
  const [, section = ""] = readDocs("reference/flags.md").split(`## drover-${program}\n`);
  const [own = ""] = section.split("\n## ");
  return [...own.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, flag]) => flag ?? "");
}

describe("the reference of flags", () => {
  it.each(["router", "agent"] as const)("names each flag of the %s, and no other", async (program) => {
    const { stdout, code } = await runDrover(program, ["--help"]);
    expect(code).toBe(0);
    expect(flagsOfReference(program).sort()).toEqual(flagsOfHelp(stdout).sort());
  });
});

const ELSEWHERE: Readonly<Record<Elsewhere, string>> = {
  free: "yes",
  charged: "yes, within the budget",
  once: "once, within the budget",
  suited: "nodes that have it",
  never: "no",
};
const BLAME: Readonly<Record<Blame, string>> = {
  nobody: "nobody",
  node: "the node",
  "node-and-model": "the model there",
};

describe("the table of endings", () => {
  it("has status, reason, retry and blame of every kind, and no other", () => {
    const page = readDocs("operating.md");
    const table = page.slice(page.indexOf("| what happened | status | reason |")).split("\n\n")[0] ?? "";
    const rows = table
      .split("\n")
      .slice(2)
      .map((line) =>
        line
          .split("|")
          .slice(2, -1)
          .map((cell) => cell.trim()),
      );
    const kinds = Object.keys(ENDINGS) as EndingKind[];
    const expected = kinds.map((kind) => {
      const { code, elsewhere, blame } = ENDINGS[kind];
      return [status[code], `\`${reasonOf(kind)}\``, ELSEWHERE[elsewhere], BLAME[blame]];
    });
    expect(rows.sort()).toEqual(expected.sort());
  });
});
