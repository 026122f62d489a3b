import { describe, expect, test } from "vitest";
import { PromptSizes } from "./prompt-sizes.ts";

describe("the size of prompts", () => {
  test("is four bytes a token before anything is learned, and a token at least", () => {
    const sizes = new PromptSizes();
    expect(sizes.estimateTokens("a", 4_000)).toBe(1_000);
    expect(sizes.estimateTokens("a", 0)).toBe(1);
  });

  test("is learned per model", () => {
    const sizes = new PromptSizes();
    sizes.learn("a", 200, 100, 4_096);
    expect(sizes.bytesPerToken("a")).toBe(2);
    sizes.learn("a", 300, 100, 4_096);
    expect(sizes.bytesPerToken("a")).toBeCloseTo(2.3);
    expect(sizes.bytesPerToken("b")).toBe(4);
  });

  test.each([
    ["short", 630, 63, 0],
    ["cut to the context", 100_000, 4_000, 4_096],
    ["cut, and the context is not known", 100_000, 4_096, 0],
    ["of almost nothing but tokens", 40, 100, 0],
  ])("is not learned from prompts that are %s", (_, bytes, tokens, context) => {
    const sizes = new PromptSizes();
    sizes.learn("a", bytes, tokens, context);
    expect(sizes.bytesPerToken("a")).toBe(4);
  });

  test("is kept for 256 models at most", () => {
    const sizes = new PromptSizes();
    for (let i = 0; i <= 256; i++) sizes.learn(`m${i}`, 200, 100, 0);
    expect(sizes.bytesPerToken("m0")).toBe(4);
    expect(sizes.bytesPerToken("m1")).toBe(2);
  });
});
