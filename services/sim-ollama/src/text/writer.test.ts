import { expect, test } from "vitest";
import { tokenize } from "./tokenizer.ts";
import { ANSWER_MARKER, createWriter, type WriterOptions } from "./writer.ts";

const prompt = `<|im_start|>user\nhi<|im_end|>\n${ANSWER_MARKER}`;

function write(options: Partial<WriterOptions> = {}, limit = 500): string[] {
  const writer = createWriter({ voice: "v", prompt, answerTokens: 0, isThinking: false, ...options });
  const pieces: string[] = [];
  for (let piece = writer.next(); piece !== undefined && pieces.length < limit; piece = writer.next())
    pieces.push(piece);
  return pieces;
}

test("the same voice and prompt say the same, others say something else", () => {
  expect(write()).toEqual(write());
  expect(write({ voice: "w" })).not.toEqual(write());
  expect(write({ prompt: prompt.replace("hi", "ho") })).not.toEqual(write());
});

test("an answer goes on exactly, wherever between two pieces it was cut", () => {
  for (const options of [{}, { answerTokens: 60 }, { isThinking: true }, { isThinking: true, answerTokens: 200 }]) {
    const pieces = write(options);
    for (let cut = 0; cut <= pieces.length; cut++) {
      const rest = write({ ...options, prompt: prompt + pieces.slice(0, cut).join("") });
      expect(rest).toEqual(pieces.slice(cut));
    }
  }
});

test("a continuation survives answers far longer than the memory of the writer", () => {
  const options = { answerTokens: 3000 };
  const pieces = write(options, 4000);
  expect(pieces).toHaveLength(3000);
  expect(write({ ...options, prompt: prompt + pieces.slice(0, 2500).join("") }, 4000)).toEqual(pieces.slice(2500));
});

test("a raw prompt without a chat template is continued too", () => {
  const pieces = write({ prompt: "Once upon a time" });
  expect(write({ prompt: `Once upon a time${pieces.slice(0, 5).join("")}` })).toEqual(pieces.slice(5));
});

test("answers left to chance end, and are some tens of pieces long", () => {
  const lengths = Array.from({ length: 200 }, (_, i) => write({ voice: `v${i}` }, 10_000).length);
  expect(Math.max(...lengths)).toBeLessThan(2000);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  expect(mean).toBeGreaterThan(15);
  expect(mean).toBeLessThan(100);
});

test("a piece counts as one token", () => {
  for (let i = 0; i < 50; i++) {
    const pieces = write({ voice: `v${i}` });
    expect(tokenize(pieces.join(""))).toEqual(pieces);
  }
});

test("a thinking model thinks first, in tags that are pieces of their own, unless the prompt holds a thought", () => {
  const pieces = write({ isThinking: true });
  expect(pieces[0]).toBe("<think>");
  expect(pieces.filter((piece) => piece === "</think>")).toHaveLength(1);
  const silenced = write({ isThinking: true, prompt: `${prompt}<think>\n\n</think>\n\n` });
  expect(silenced.join("")).not.toContain("think>");
});
