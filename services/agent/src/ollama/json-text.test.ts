import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arrayElements, JsonObjectWriter, memberText, objectMembers } from "./json-text.ts";

describe("JSON text", () => {
  test("keeps integer-like keys in their place and long integers whole", () => {
    const text = '{ "b": 1, "2": {"y":[1, 2],"1":"a,}"}, "1" : 12345678901234567890 , "":null}';
    expect(objectMembers(text)).toEqual([
      { key: "b", text: "1" },
      { key: "2", text: '{"y":[1, 2],"1":"a,}"}' },
      { key: "1", text: "12345678901234567890" },
      { key: "", text: "null" },
    ]);
  });

  test("takes any object apart so that its parts parse to the same values", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), fc.nat(3), (object, indent) => {
        const members = objectMembers(JSON.stringify(object, undefined, indent));
        expect(Object.fromEntries((members ?? []).map(({ key, text }) => [key, JSON.parse(text)]))).toEqual(
          JSON.parse(JSON.stringify(object)),
        );
      }),
    );
  });

  test("takes any array apart so that its parts parse to the same values", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (array) => {
        expect(arrayElements(JSON.stringify(array))?.map((text) => JSON.parse(text))).toEqual(
          JSON.parse(JSON.stringify(array)),
        );
      }),
    );
  });

  test.each(["[1]", '"a"', "1", "null", ""])("finds no members in %s", (text) => {
    expect(objectMembers(text)).toBeUndefined();
  });

  test("finds the member that JSON.parse would take when a key stands twice", () => {
    expect(memberText('{"a":1,"a":2}', "a")).toBe("2");
    expect(memberText('{"a":1}', "b")).toBeUndefined();
  });

  test("writes members in the order of their first setting and leaves out what is undefined", () => {
    const writer = new JsonObjectWriter()
      .set("a", "x\n")
      .setText("b", '{"z":1,"1":2}')
      .set("c", undefined)
      .set("a", "y");
    expect(writer.toString()).toBe('{"a":"y","b":{"z":1,"1":2}}');
    expect(new JsonObjectWriter().isEmpty).toBe(true);
  });
});
