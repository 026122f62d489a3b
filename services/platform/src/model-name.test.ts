import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { displayModelName, modelKey, parseModelName } from "./model-name.ts";

function shown(raw: string): string | undefined {
  const name = parseModelName(raw);
  return name === undefined ? undefined : `${displayModelName(name)} ${name.source}`;
}

describe("parseModelName", () => {
  it("fills in what a short name leaves out", () => {
    expect(parseModelName(" llama3 ")).toEqual({
      host: "registry.ollama.ai",
      namespace: "library",
      model: "llama3",
      tag: "latest",
      source: "any",
    });
    expect(parseModelName("https://hf.co/u/m:Q4")).toMatchObject({
      host: "hf.co",
      namespace: "u",
      model: "m",
      tag: "Q4",
    });
  });

  it.each([
    ["gpt-oss:20b:cloud", "gpt-oss:20b-cloud cloud"],
    ["gpt-oss:20b-cloud", "gpt-oss:20b-cloud cloud"],
    ["gpt-oss:CLOUD", "gpt-oss:cloud cloud"],
    ["qwen3:8b:local", "qwen3:8b local"],
    ["qwen3:local", "qwen3:latest local"],
    ["my-cloud-model", "my-cloud-model:latest any"],
    ["my-cloud", "my-cloud:latest any"],
    ["localhost:5000/a/b", "localhost:5000/a/b:latest any"],
    ["localhost:5000/a/b:c", "localhost:5000/a/b:c any"],
    ["u/m", "u/m:latest any"],
    ["hf.co/library/m", "hf.co/library/m:latest any"],
    ["registry.ollama.ai/library/llama3:8b", "llama3:8b any"],
  ])("reads %s as %s", (raw, expected) => expect(shown(raw)).toBe(expected));

  it.each([
    "",
    "   ",
    ":",
    "llama3:",
    "llama3/",
    "/llama3",
    "a//b",
    "foo:cloud:local",
    "foo:cloud:cloud",
    "foo:bar-cloud/baz",
    "a.b/c",
    "llama3@sha256:abc",
    "-llama",
    "llama 3",
    "läma",
    "a\u0000b",
    "x".repeat(81),
    "a/".repeat(400),
    "x".repeat(10_000_000),
  ])("refuses the name (%#)", (raw) => expect(parseModelName(raw)).toBeUndefined());

  it("never throws, and a shown name means the same model", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."aZ0_-.:/ @", "cloud", "-cloud", "local") }), (raw) => {
        const name = parseModelName(raw);
        if (name !== undefined) expect(modelKey(displayModelName(name))).toBe(modelKey(raw));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("modelKey", () => {
  it("is equal for names of one model and differs for others", () => {
    expect(modelKey("llama3")).toBe(modelKey("LLAMA3:Latest"));
    expect(modelKey("HF.co/U/M:q4_k_m")).toBe(modelKey("hf.co/u/m:Q4_K_M"));
    expect(modelKey("llama3:local")).toBe(modelKey("llama3"));
    expect(modelKey("llama3:cloud")).not.toBe(modelKey("llama3"));
    expect(modelKey("llama3:8b")).not.toBe(modelKey("llama3"));
    expect(modelKey("not a name")).toBeUndefined();
  });
});
