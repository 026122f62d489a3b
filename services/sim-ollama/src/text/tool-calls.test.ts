import { expect, test } from "vitest";
import { createToolCallParser, mentionedTool, type Tool, writeToolCall } from "./tool-calls.ts";

const tools: Tool[] = [
  { name: "get_weather", parameters: { properties: { unit: { enum: ["C"] }, city: { enum: ["Oslo"] } } } },
  { name: "book", parameters: {} },
];

function parse(pieces: readonly string[], among = tools): unknown[] {
  const parser = createToolCallParser(among);
  const out: unknown[] = pieces
    .map((piece) => parser.push(piece))
    .filter(({ text, call }) => text !== "" || call !== undefined);
  return [...out, parser.flush()];
}

test("a tool is called when its name is spoken of", () => {
  expect(mentionedTool(tools, "please GET_WEATHER now")?.name).toBe("get_weather");
  expect(mentionedTool(tools, "how are you")).toBeUndefined();
});

test("a written call is found again, with its arguments sorted", () => {
  const text = writeToolCall(tools[0] as Tool, "seed");
  expect(parse([...text])).toEqual([
    { text: "", call: { name: "get_weather", arguments: { city: "Oslo", unit: "C" } } },
    "",
  ]);
});

test("plain words pass at once", () => {
  expect(parse(["Hello", " {"])).toEqual([{ text: "Hello" }, { text: " {" }, ""]);
});

test("balanced braces that are no call come out together, unfinished ones at the end", () => {
  expect(parse(['{"a"', ": 1}", " x"])).toEqual([{ text: '{"a": 1}' }, { text: " x" }, ""]);
  expect(parse(['{"name"', ": "])).toEqual(['{"name": ']);
  expect(parse(['{"name": "other", "arguments": {}}'])).toEqual([{ text: '{"name": "other", "arguments": {}}' }, ""]);
});

test("without tools nothing is held back", () => {
  expect(parse(["{"], [])).toEqual([{ text: "{" }, ""]);
});
