import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EntrySplitter } from "./entry-splitter.ts";

function split(text: string, pieceBytes: number): { readonly entries: string[]; readonly isWhole: boolean } {
  const splitter = new EntrySplitter();
  const bytes = Buffer.from(text);
  const entries: string[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    entries.push(...splitter.push(bytes.subarray(at, at + pieceBytes)).map((entry) => entry.toString("utf8")));
  }
  return { entries, isWhole: splitter.isWhole };
}

describe("splitting a JSON array", () => {
  it("gives each object as it stands, however the text is cut", () => {
    const objects = fc.array(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()), { maxLength: 6 });
    fc.assert(
      fc.property(objects, fc.integer({ min: 1, max: 40 }), fc.boolean(), (values, pieceBytes, isPretty) => {
        const { entries, isWhole } = split(JSON.stringify(values, undefined, isPretty ? 2 : undefined), pieceBytes);
        expect(isWhole).toBe(true);
        expect(entries.map((entry) => JSON.parse(entry))).toEqual(JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it("does not take a truncated array for a whole one", () => {
    const text = JSON.stringify([{ a: 'b"}]' }, { c: [1, { d: 2 }] }]);
    for (let length = 0; length < text.length; length++) expect(split(text.slice(0, length), 7).isWhole).toBe(false);
    expect(split(text, 7).isWhole).toBe(true);
  });

  it.each([
    "",
    "null",
    "{}",
    "<html></html>",
    '"text"',
    "[1, 2]",
    '["a"]',
    "[null]",
    "[[]]",
    "[] []",
    "[{}] x",
    "]",
    "}{",
  ])("takes %o for no array of objects", (text) => {
    expect(split(text, 3).isWhole).toBe(false);
  });
});
