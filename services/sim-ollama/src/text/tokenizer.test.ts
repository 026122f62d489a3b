import fc from "fast-check";
import { expect, test } from "vitest";
import { hashText, mixHash, rollHash, tokenId, tokenize } from "./tokenizer.ts";

test("the pieces of any text make the text again", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(tokenize(text).join("")).toBe(text);
    }),
  );
});

test("about a word is a token, a digit and a mark of the template are one each", () => {
  expect(tokenize("<|im_start|>user\nThe sea is 12 °C.")).toEqual([
    ..."<|im_start|>".split(" "),
    "user",
    "\n",
    "The",
    " sea",
    " is",
    " ",
    "1",
    "2",
    " ",
    "°",
    "C",
    ".",
  ]);
});

test("a hash can be continued", () => {
  expect(rollHash("world", rollHash("hello ", 1))).toBe(rollHash("hello world", 1));
  expect(mixHash(rollHash("x", 1))).toBe(hashText("x", 1));
});

test("ids are small and stable", () => {
  expect(tokenId(" sea")).toBe(tokenId(" sea"));
  expect(tokenId(" sea")).toBeLessThan(49_152);
});
