/** Every relative link of every page leads to a file that is there, and to a heading that it has. */
import { existsSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { ROOT } from "../run-tool.ts";
import { readMarkdown } from "./markdown.ts";
import { pagePaths, readPage } from "./pages.ts";

/** What is wrong with a link, if anything is. `page` is the path of the page that has it, from the root. */
function problemOf(page: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [file = "", anchor] = target.split("#");
  const there = file === "" ? page : path.posix.join(path.posix.dirname(page), file);
  if (!existsSync(path.join(ROOT, there))) return `${there} is not there`;
  if (anchor === undefined) return undefined;
  if (!there.endsWith(".md")) return undefined;
  return readMarkdown(readPage(there)).anchors.has(anchor) ? undefined : `${there} has no heading #${anchor}`;
}

it("finds what is wrong with a link", () => {
  expect(problemOf("docs/concepts.md", "nowhere.md")).toBe("docs/nowhere.md is not there");
  expect(problemOf("docs/concepts.md", "../README.md#nowhere")).toBe("README.md has no heading #nowhere");
  expect(problemOf("docs/concepts.md", "#concepts")).toBeUndefined();
});

it.each(pagePaths())("%s links to what exists", (page) => {
  const problems = readMarkdown(readPage(page)).links.flatMap(({ target, line }) => {
    const problem = problemOf(page, target);
    return problem === undefined ? [] : [`line ${line}: ${target}: ${problem}`];
  });
  expect(problems).toEqual([]);
});
