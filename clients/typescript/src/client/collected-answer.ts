/**
 * What came of an answer so far, for `text()`, `result()` and the error of a call that breaks. Bounded: what is longer is handed
 * to the loop all the same, but no longer kept.
 */
import type { AnswerChunk, Logprob } from "./token-stream.ts";
import type { ToolCall } from "./tools.ts";

/** Far above what any model writes: 16 Mi characters are some four million tokens. */
export const ANSWER_CHARACTERS_MAX = 16 * 1024 * 1024;
/** What a log probability or a tool call counts beside its text. */
const OBJECT_CHARACTERS = 64;

export class CollectedAnswer {
  text = "";
  thinking = "";
  readonly toolCalls: ToolCall[] = [];
  readonly logprobs: Logprob[] = [];
  /** Pieces that brought something. */
  pieces = 0;
  #room: number;

  constructor(charactersMax: number) {
    this.#room = charactersMax;
  }

  /** Whether something is missing here. */
  get isCut(): boolean {
    return this.#room < 0;
  }

  add(chunk: AnswerChunk<ToolCall, unknown>): void {
    this.pieces++;
    this.#room -= chunk.text.length + chunk.thinking.length;
    if (chunk.toolCalls.length > 0 || chunk.logprobs.length > 0) this.#room -= objectCharacters(chunk);
    if (this.#room < 0) return;
    this.text += chunk.text;
    this.thinking += chunk.thinking;
    if (chunk.toolCalls.length > 0) this.toolCalls.push(...chunk.toolCalls);
    if (chunk.logprobs.length > 0) this.logprobs.push(...chunk.logprobs);
  }
}

function objectCharacters({ toolCalls, logprobs }: AnswerChunk<ToolCall, unknown>): number {
  let characters = 0;
  for (const { argumentsJson } of toolCalls) characters += OBJECT_CHARACTERS + argumentsJson.length;
  for (const { topLogprobs } of logprobs) characters += OBJECT_CHARACTERS * (1 + topLogprobs.length);
  return characters;
}
