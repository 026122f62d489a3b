import { describe, expect, it } from "vitest";
import { z } from "zod";
import { jsonSchema, parseOutput, parseOutputNow, type StandardSchema, schemaText } from "./schema.ts";

const WHAT = "The answer";

function standard(validate: StandardSchema["~standard"]["validate"], more: object = {}): StandardSchema {
  return { "~standard": { version: 1, vendor: "homemade", validate }, ...more };
}

describe("a schema as text", () => {
  it("keeps the order of its keys", () => {
    const schema = { type: "object", properties: { zebra: { type: "string" }, apple: { type: "number" } } };
    expect(schemaText(schema, WHAT)).toBe(
      '{"type":"object","properties":{"zebra":{"type":"string"},"apple":{"type":"number"}}}',
    );
    expect(schemaText(jsonSchema<{ zebra: string }>(schema), WHAT)).toContain("zebra");
  });

  it("is sent as it is when it is text", () => {
    const text = '{ "2": {}, "1": {} }';
    expect(schemaText(text, WHAT)).toBe(text);
    expect(() => schemaText("JSON", "The schema in `format`")).toThrow(/The schema in `format` is not JSON text/);
  });

  it("comes from zod by Standard JSON Schema", () => {
    const text = schemaText(z.object({ city: z.string().describe("where"), days: z.number().optional() }), WHAT);
    expect(JSON.parse(text)).toMatchObject({
      type: "object",
      properties: { city: { type: "string", description: "where" }, days: { type: "number" } },
      required: ["city"],
    });
  });

  it("describes what a schema reads, not what it makes of it", () => {
    const text = schemaText(z.object({ when: z.string().transform((iso) => new Date(iso)) }), WHAT);
    expect(JSON.parse(text)).toMatchObject({ properties: { when: { type: "string" } } });
  });

  it.each(["toJSONSchema", "toJsonSchema"])("comes from a library's own %s", (method) => {
    const schema = standard((value) => ({ value }), { [method]: () => ({ type: "string" }) });
    expect(schemaText(schema, WHAT)).toBe('{"type":"string"}');
  });

  it("is refused with the library's name where it gives none, or fails to", () => {
    expect(() =>
      schemaText(
        standard((value) => ({ value })),
        WHAT,
      ),
    ).toThrow(/comes from homemade.*pass the JSON Schema itself/);
    expect(() => schemaText(z.object({ when: z.date() }), WHAT)).toThrow(/The answer cannot be written as JSON Schema/);
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    expect(() => schemaText(circular, WHAT)).toThrow(/cannot be written as JSON/);
  });
});

describe("an answer as a value", () => {
  const trip = z.object({ city: z.string(), days: z.coerce.number() });

  it("is parsed, and for a schema that checks, what the schema makes of it", async () => {
    expect(await parseOutput('{"a":1}', { type: "object" }, WHAT)).toEqual({ a: 1 });
    expect(await parseOutput('{"city":"Bonn","days":"3"}', trip, WHAT)).toEqual({ city: "Bonn", days: 3 });
    expect(parseOutputNow('{"city":"Bonn","days":"3"}', trip, WHAT)).toEqual({ city: "Bonn", days: 3 });
    expect(parseOutputNow("[1]", undefined, WHAT)).toEqual([1]);
  });

  it("keeps the text when it is not JSON", async () => {
    await expect(parseOutput('{"city":"Bo', trip, WHAT)).rejects.toMatchObject({
      reason: "OUTPUT_INVALID",
      partialText: '{"city":"Bo',
      message: expect.stringContaining("The answer is not JSON"),
    });
  });

  it("keeps the text, and says where, when it is not what the schema asks for", async () => {
    const text = '{"city":7,"days":3}';
    await expect(parseOutput(text, z.object({ trip }), WHAT)).rejects.toMatchObject({ partialText: text });
    await expect(parseOutput(text, trip, WHAT)).rejects.toMatchObject({
      reason: "OUTPUT_INVALID",
      message: expect.stringMatching(/is not what its schema asks for: city: .*string/),
    });
    const issues = [{ message: "wrong", path: [{ key: "a" }, 0] }, { message: "bad" }];
    await expect(
      parseOutput(
        "1",
        standard(() => ({ issues })),
        WHAT,
      ),
    ).rejects.toThrow("a.0: wrong; bad");
  });

  it("waits for a schema that checks later, but not where there is no time", async () => {
    const later = standard(async (value) => ({ value: [value] }));
    expect(await parseOutput("1", later, WHAT)).toEqual([1]);
    expect(() => parseOutputNow("1", later, WHAT)).toThrow(/answers later/);
  });
});
