import { expect, test } from "vitest";
import { createThinkingFilter } from "./thinking-filter.ts";

test("the passage in tags is thinking, the rest is content, the tags are neither", () => {
  const filter = createThinkingFilter(true);
  const pushed = ["<think>", "\n", "Hm", ".", "</think>", "Yes"].map((piece) => filter.push(piece));
  expect(pushed.map(({ thinking, content }) => [thinking, content])).toEqual([
    ["", ""],
    ["", ""],
    ["Hm", ""],
    [".", ""],
    ["", ""],
    ["", "Yes"],
  ]);
});

test("without thinking, tags are content like any text", () => {
  expect(createThinkingFilter(false).push("<think>")).toEqual({ thinking: "", content: "<think>" });
});

test("an answer that does not start with the tag has no thinking", () => {
  expect(createThinkingFilter(true).push("Yes")).toEqual({ thinking: "", content: "Yes" });
});
