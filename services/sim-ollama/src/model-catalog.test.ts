import { expect, test } from "vitest";
import { createModelCatalog } from "./model-catalog.ts";

test("names say what a model can do beyond completion and tools", () => {
  const { models } = createModelCatalog([
    { name: "llama3" },
    { name: "nomic-embed-text" },
    { name: "a-vision-think:1b" },
  ]);
  expect(models.map((model) => [model.displayName, model.capabilities])).toEqual([
    ["llama3:latest", ["completion", "tools"]],
    ["nomic-embed-text:latest", ["completion", "tools", "embedding"]],
    ["a-vision-think:1b", ["completion", "tools", "vision", "thinking"]],
  ]);
});

test("capabilities that are given count alone", () => {
  const { models } = createModelCatalog([{ name: "embed", capabilities: ["embedding"] }]);
  expect(models[0]?.capabilities).toEqual(["embedding"]);
});

test("the same name has the same digest everywhere, and is there once", () => {
  const one = createModelCatalog([{ name: "llama3" }, { name: "LLAMA3:latest" }]);
  const other = createModelCatalog([{ name: "llama3:latest" }]);
  expect(one.models).toHaveLength(1);
  expect(one.models[0]?.digest).toBe(other.models[0]?.digest);
});

test("a name that Ollama would not take is refused by name", () => {
  expect(() => createModelCatalog([{ name: "a b" }])).toThrow('"a b" is not a name');
});

test.each([
  ["llama3.2:1b", 6e8, "1.0B"],
  ["smollm2:135m-instruct", 81e6, "135M"],
  ["qwen2.5:0.5b", 3e8, "500M"],
])("%s is as large as its name says", (name, sizeBytes, parameters) => {
  const [model] = createModelCatalog([{ name }]).models;
  expect([model?.sizeBytes, model?.details.parameter_size]).toEqual([sizeBytes, parameters]);
});

test("models of the same weights share a file, and nothing else", () => {
  const { models } = createModelCatalog([{ name: "a" }, { name: "b", weightsOf: "A:latest" }, { name: "c" }]);
  const [a, b, c] = models;
  expect(b?.weights).toBe(a?.weights);
  expect(b?.digest).not.toBe(a?.digest);
  expect(c?.weights).not.toBe(a?.weights);
});
