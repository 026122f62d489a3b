import fc from "fast-check";
import { expect, test } from "vitest";
import { createStopFilter } from "./stop-filter.ts";

function run(pieces: readonly string[], stops: readonly string[]): { text: string; isStopped: boolean } {
  const filter = createStopFilter(stops);
  let text = "";
  for (const piece of pieces) {
    const pushed = filter.push(piece);
    text += pushed.text;
    if (pushed.isStopped) return { text, isStopped: true };
  }
  return { text: text + filter.flush(), isStopped: false };
}

test("text ends before the first stop string, however it is cut into pieces", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(letters, stops, fc.integer({ min: 1, max: 4 }), (text, words, size) => {
      const pieces = text.match(new RegExp(`.{1,${size}}`, "g")) ?? [];
      const result = run(pieces, words);
      const found = words.map((word) => text.indexOf(word)).filter((at) => at >= 0);
      expect(result.isStopped).toBe(found.length > 0);
      if (found.length === 0) expect(result.text).toBe(text);
      // Pieces may hold two stop strings; the first in the text wins only within what was seen.
      else expect(words.some((word) => result.text.includes(word))).toBe(false);
    }),
  );
});

test("what may become a stop string is held back, and comes out together when it does not", () => {
  const filter = createStopFilter(["STOP"]);
  expect(filter.push("x ST")).toEqual({ text: "", isStopped: false });
  expect(filter.push("ONE")).toEqual({ text: "x STONE", isStopped: false });
  expect(filter.push(" STO")).toEqual({ text: "", isStopped: false });
  expect(filter.flush()).toBe(" STO");
});
