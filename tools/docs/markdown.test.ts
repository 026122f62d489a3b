import { describe, expect, it } from "vitest";
import { anchorOf, cellsOf, codeSpansOf, readMarkdown } from "./markdown.ts";

const page = [
  "# One `two`",
  "See [there](a.md#b), not `[here](c.md)`.",
  "```ts file=x.ts",
  "# no heading",
  "```",
  "# One two",
];

describe("a page", () => {
  it("has anchors as GitHub makes them, a second one of a name with its number", () => {
    expect([...readMarkdown(page.join("\n")).anchors]).toEqual(["one-two", "one-two-1"]);
    expect(anchorOf("What you see, what it is, what to do")).toBe("what-you-see-what-it-is-what-to-do");
  });

  it("has links outside of code, with their lines", () => {
    expect(readMarkdown(page.join("\n")).links).toEqual([{ target: "a.md#b", line: 2 }]);
  });

  it("has fenced blocks with what follows the backticks, apart from the prose", () => {
    const { fences, proseLines } = readMarkdown(page.join("\n"));
    expect(fences).toEqual([{ info: "ts file=x.ts", text: "# no heading\n", line: 3 }]);
    expect(proseLines.join("\n")).not.toContain("no heading");
  });

  it("whose block has no end is refused", () => {
    expect(() => readMarkdown("```sh\nls")).toThrow("the block of line 1 has no end");
  });
});

it("code spans may hold backticks", () => {
  expect(codeSpansOf("a `b` and ``is `c` there?``")).toEqual(["b", "is `c` there?"]);
});

it("cells may hold pipes in code and behind a backslash", () => {
  expect(cellsOf("| a | `b|c` | d \\| e |")).toEqual(["a", "`b|c`", "d \\| e"]);
  expect(cellsOf("no table")).toBeUndefined();
});
