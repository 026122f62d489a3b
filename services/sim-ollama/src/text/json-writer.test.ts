import { expect, test } from "vitest";
import { FREE_JSON_SCHEMA, writeJson } from "./json-writer.ts";

test("free JSON is an object", () => {
  expect(JSON.parse(writeJson(FREE_JSON_SCHEMA, "s"))).toMatchObject({ answer: expect.any(String) });
});

test("a value keeps to types, enums, bounds and references", () => {
  const schema = {
    type: "object",
    properties: {
      colour: { enum: ["red", "blue"] },
      fixed: { const: 7 },
      count: { type: "integer", minimum: 3, maximum: 5 },
      share: { type: "number", minimum: 0, maximum: 1 },
      tags: { type: "array", items: { type: "string", maxLength: 3 }, minItems: 2, maxItems: 4 },
      inner: { $ref: "#/$defs/inner" },
      either: { anyOf: [{ type: "boolean" }, { type: "null" }] },
    },
    $defs: { inner: { type: "object", properties: { long: { type: "string", minLength: 20 } } } },
  };
  for (let seed = 0; seed < 50; seed++) {
    const value = JSON.parse(writeJson(schema, String(seed)));
    expect(["red", "blue"]).toContain(value.colour);
    expect(value.fixed).toBe(7);
    expect([3, 4, 5]).toContain(value.count);
    expect(value.share).toSatisfy((share: number) => share >= 0 && share <= 1);
    expect(value.tags.length).toSatisfy((length: number) => length >= 2 && length <= 4);
    expect(value.tags.every((tag: string) => tag.length <= 3)).toBe(true);
    expect(value.inner.long.length).toBeGreaterThanOrEqual(20);
    expect([true, false, null]).toContain(value.either);
  }
});

test("a schema that contains itself comes to an end", () => {
  const schema = { type: "object", properties: { next: { $ref: "#" }, also: { type: "array", items: { $ref: "#" } } } };
  expect(writeJson(schema, "s").length).toBeLessThan(1_000_000);
});

test("a huge array is bounded", () => {
  expect(JSON.parse(writeJson({ type: "array", minItems: 1e9, items: { type: "null" } }, "s"))).toHaveLength(64);
});
