import { expect, it } from "vitest";
import { declarationsOf, reExportsOf } from "./declarations.ts";

const MODULE = `/**
 * What the file is.
 */
import type { A } from "./a.ts";
/** One of two. */
export type Either =
/** The first. */
{
    readonly a: A;
}
/** The second. */
 | {
    readonly b: string;
};
/**
 * Does it.
 *
 * Twice.
 */
export declare function act(a: A): void;
export declare function act(b: string): void;
export {};
`;

it("a declaration has its comment, the comments inside it and all its overloads", () => {
  const [either, act, ...more] = declarationsOf(MODULE);
  expect(more).toEqual([]);
  expect(either).toMatchObject({ name: "Either", comment: "One of two." });
  expect(either?.code.split("\n")).toHaveLength(9);
  expect(either?.code).toMatch(/^type Either =\n\/\*\* The first\. \*\//);
  expect(act).toEqual({
    name: "act",
    comment: "Does it.\n\nTwice.",
    code: "function act(a: A): void;\nfunction act(b: string): void;",
  });
});

it("the comment of a file is not that of its first declaration", () => {
  expect(declarationsOf("/** The file. */\nexport type A = string;")[0]?.comment).toBe("");
  expect(declarationsOf("/** The file. */\n/** A text. */\nexport type A = string;")[0]?.comment).toBe("A text.");
});

it("re-exports name what an entry offers from elsewhere", () => {
  expect(reExportsOf('export { type A, b, } from "./x.ts";\nexport type { C } from "./y.ts";')).toEqual([
    { names: ["A", "b"], from: "./x.ts" },
    { names: ["C"], from: "./y.ts" },
  ]);
});
