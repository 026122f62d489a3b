import { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { withContextLength } from "./context-limit.ts";

describe("a refusal for the prompt's length", () => {
  const tooLong = new DroverError("context_exceeded", "Too long.", { facts: { node: "a" }, cause: new Error("400") });

  it("says how long the context is", () => {
    expect(withContextLength(tooLong, 4_096)).toMatchObject({
      kind: "context_exceeded",
      message: "Too long. The context there is 4096 tokens.",
      facts: { node: "a", context_length: "4096" },
      cause: tooLong.cause,
    });
  });

  it("says nothing that is not known", () => {
    expect(withContextLength(tooLong, 0)).toBe(tooLong);
  });

  it("leaves other errors alone", () => {
    for (const error of [new DroverError("load_failed", "It failed."), new Error("bug"), "text"])
      expect(withContextLength(error, 4_096)).toBe(error);
  });
});
