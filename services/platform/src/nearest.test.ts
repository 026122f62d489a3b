import { expect, it } from "vitest";
import { nearestNames } from "./nearest.ts";

it("finds what somebody meant, nearest first, and nothing where nothing is near", () => {
  const models = ["llama3.2:1b", "llama3:latest", "qwen3:8b", "mistral:latest"];
  expect(nearestNames("lama3:latest", models)[0]).toBe("llama3:latest");
  expect(nearestNames("llama3.2", models)).toContain("llama3.2:1b");
  expect(nearestNames("QWEN3:8B", models)).toEqual(["qwen3:8b"]);
  expect(nearestNames("gemma", models)).toEqual([]);
  expect(nearestNames("x", [])).toEqual([]);
});

it("names few, and never spends long on long texts", () => {
  expect(
    nearestNames(
      "model",
      Array.from({ length: 50 }, (_, index) => `model${index}`),
      2,
    ),
  ).toEqual(["model0", "model1"]);
  expect(nearestNames("y".repeat(1_000_000), ["z".repeat(1_000_000)])).toEqual([]);
});
