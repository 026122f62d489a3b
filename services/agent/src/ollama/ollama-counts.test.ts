import { expect, test } from "vitest";
import { embedCounts, streamCounts } from "./ollama-counts.ts";

test("the counts of an answer are Ollama's, in milliseconds", () => {
  const done = { prompt_eval_count: 26, prompt_eval_duration: 130_000_000, eval_count: 9, eval_duration: 2_500_000 };
  expect(streamCounts(done)).toEqual({ promptTokens: 26, prefillMs: 130, tokens: 9, decodeMs: 2.5 });
});

test("what Ollama does not say, or says wrongly, counts as nothing", () => {
  const nothing = { promptTokens: 0, prefillMs: 0, tokens: 0, decodeMs: 0 };
  expect(streamCounts({})).toEqual(nothing);
  expect(streamCounts({ prompt_eval_count: "x", eval_count: -1, eval_duration: -5 })).toEqual(nothing);
  expect(embedCounts({ total_duration: 1, load_duration: 5 })).toEqual(nothing);
});

test("an embedding reads for as long as it does not load", () => {
  const answer = { prompt_eval_count: 80, total_duration: 9_000_000, load_duration: 1_000_000 };
  expect(embedCounts(answer)).toEqual({ promptTokens: 80, prefillMs: 8, tokens: 0, decodeMs: 0 });
});
