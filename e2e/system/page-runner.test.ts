/** What makes the pages' tests worth something: a step that is not understood is refused, and another output is another output. */
import { describe, expect, it } from "vitest";
import { stepsOf } from "../src/page-runner.ts";
import { differsFromShown } from "../src/shown-output.ts";

const page = (...blocks: string[]): string => blocks.map((block) => `\`\`\`${block}\n\`\`\`\n`).join("\n");

describe("the steps of a page", () => {
  it("come in its order, with what it shows below a command", () => {
    const text = `${page("sh\nls", "text\na", 'sh terminal=one until="up"\nserve')}<!-- stop one -->\n${page("ts file=x.ts\n1;")}`;
    expect(stepsOf(text).map(({ step }) => step)).toEqual([
      { kind: "run", command: "ls\n", shown: "a\n", isPatient: false },
      { kind: "start", terminal: "one", command: "serve\n", until: "up" },
      { kind: "stop", terminal: "one" },
      { kind: "write", file: "x.ts", text: "1;\n" },
    ]);
  });

  it("are refused where nobody would run them", () => {
    expect(() => stepsOf(page("console\nls"))).toThrow("what is to be done with a block `console`?");
  });
});

describe("what is printed", () => {
  it.each([
    ["a 1\nb\n", "a …\nb"],
    ["a\nb\nc\nd", "a\n…\nd"],
    ["a \nb", "a\nb"],
    ["{(x)}", "{(x)}"],
  ])("%j is as shown by %j", (printed, shown) => expect(differsFromShown(printed, shown)).toBeUndefined());

  it.each([
    ["a\nb\nc", "a\nb"],
    ["a\nb", "a"],
    ["ab\nc", "a\n…"],
  ])("%j is not as shown by %j", (printed, shown) => expect(differsFromShown(printed, shown)).toBe(printed));
});
