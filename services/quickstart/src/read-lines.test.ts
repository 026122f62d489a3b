import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { readLines } from "./read-lines.ts";

async function linesOf(...parts: (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = [];
  const stream = new PassThrough();
  const done = readLines(stream, (line) => lines.push(line));
  for (const part of parts) stream.write(part);
  stream.end();
  await done;
  return lines;
}

test("lines come whole, however they were cut, with the last one", async () => {
  const split = Buffer.from("straße");
  expect(await linesOf("one\ntw", "o\n\n", split.subarray(0, 5), split.subarray(5))).toEqual([
    "one",
    "two",
    "",
    "straße",
  ]);
  expect(await linesOf("one\n")).toEqual(["one"]);
});

test("a line that does not end is given in parts", async () => {
  const lines = await linesOf("x".repeat(40_000));
  expect(lines.map((line) => line.length)).toEqual([16_384, 16_384, 7_232]);
});

test("a stream that breaks ends the reading", async () => {
  const stream = new PassThrough();
  const done = readLines(stream, () => undefined);
  stream.destroy(new Error("broken"));
  await done;
});
