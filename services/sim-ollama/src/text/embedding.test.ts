import { expect, test } from "vitest";
import { embed, normalized } from "./embedding.ts";
import { tokenize } from "./tokenizer.ts";

const vector = (text: string, model = "m"): number[] => normalized(embed(tokenize(text), model, 64));
const nearness = (a: string, b: string): number =>
  vector(a).reduce((sum, part, i) => sum + part * (vector(b)[i] ?? 0), 0);

test("vectors have length 1 and are the same everywhere", () => {
  expect(Math.hypot(...vector("a river"))).toBeCloseTo(1, 5);
  expect(vector("a river")).toEqual(vector("a river"));
  expect(vector("a river", "other")).not.toEqual(vector("a river"));
});

test("texts with common words are nearer than others", () => {
  expect(nearness("the old river bridge", "the old river road")).toBeGreaterThan(
    nearness("the old river bridge", "my cat sleeps"),
  );
});
