import { expect, test } from "vitest";
import { FOREVER_MS, parseKeepAlive } from "./keep-alive.ts";

test.each([
  [undefined, undefined],
  [null, undefined],
  [0, 0],
  [1.5, 1500],
  [-1, FOREVER_MS],
  ["0", 0],
  ["0s", 0],
  ["300ms", 300],
  ["1h30m", 5_400_000],
  [".5s", 500],
  ["-1m", FOREVER_MS],
  ["2µs", 0.002],
])("keep_alive %j is %j ms", (value, expected) => {
  expect(parseKeepAlive(value)).toBe(expected);
});

test.each([
  ["300", 'time: missing unit in duration "300"'],
  ["", 'time: invalid duration ""'],
  ["5 minutes", 'time: unknown unit " minutes" in duration "5 minutes"'],
  ["later", 'time: invalid duration "later"'],
  [true, "Unsupported type: 'bool'"],
  [[], "Unsupported type: '[]interface {}'"],
  [{}, "Unsupported type: 'map[string]interface {}'"],
])("keep_alive %j is refused in Go's words", (value, words) => {
  expect(() => parseKeepAlive(value)).toThrow(words);
});
