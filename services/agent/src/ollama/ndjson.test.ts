import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createNdjsonDecoder, LineTooLongError } from "./ndjson.ts";

function decode(bytes: Uint8Array, cuts: readonly number[], limit = 1e6): string[] {
  const decoder = createNdjsonDecoder(limit);
  const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  const lines = edges.slice(1).flatMap((edge, i) => decoder.push(bytes.subarray(edges[i], edge)));
  const rest = decoder.end();
  return rest === undefined ? lines : [...lines, rest];
}

describe("NDJSON", () => {
  test("gives the same lines however the bytes are cut, also inside of a character", () => {
    const line = fc.string({ unit: "binary" }).map((text) => JSON.stringify({ text }));
    const stream = fc.array(line, { maxLength: 8 }).chain((lines) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(""));
      return fc.tuple(fc.constant(lines), fc.constant(bytes), fc.array(fc.nat(bytes.length), { maxLength: 12 }));
    });
    fc.assert(
      fc.property(stream, ([lines, bytes, cuts]) => {
        expect(decode(bytes, cuts)).toEqual(lines);
      }),
    );
  });

  test("skips blank lines and carriage returns", () => {
    expect(decode(Buffer.from('\n\n{"a":1}\r\n \n{"b":2}\n\n'), [3, 9])).toEqual(['{"a":1}', '{"b":2}']);
  });

  test("gives an unfinished last line at the end", () => {
    expect(decode(Buffer.from('{"a":1}\n{"b"'), [])).toEqual(['{"a":1}', '{"b"']);
  });

  test("takes a line up to its limit and refuses a longer one, in one chunk or in many", () => {
    expect(decode(Buffer.from("12345\n"), [], 5)).toEqual(["12345"]);
    expect(() => decode(Buffer.from("123456\n"), [], 5)).toThrow(LineTooLongError);
    expect(() => decode(Buffer.from("123456"), [1, 2, 3], 5)).toThrow(LineTooLongError);
  });
});
