/**
 * Invents text as a language model does: the next piece follows from all text so far and nothing else. So the same
 * prompt gives the same answer on every node with the same seed, and prompt plus half an answer goes on with the
 * other half. Knows nothing of time, slots or HTTP.
 */
import { hashText, mixHash, rollHash, tokenize } from "./tokenizer.ts";
import { WORDS } from "./words.ts";

export interface WriterOptions {
  /** Model, seed and temperature in one string: other words for other values. */
  readonly voice: string;
  /** The rendered prompt, with the answer so far if there is one. */
  readonly prompt: string;
  /** The answer ends after exactly this many pieces; 0 leaves the end to chance (some 40 pieces). */
  readonly answerTokens: number;
  /** Whether the model starts an answer with a passage in `<think>` tags. */
  readonly isThinking: boolean;
}

export interface Writer {
  /** The next piece; undefined ends the answer. */
  next(): string | undefined;
}

/** What opens the model's turn in the chat template. Text after the last one is the answer so far. */
export const ANSWER_MARKER = "<|im_start|>assistant\n";

const THINK_OPEN = "<think>";
const THINK_CLOSE = "</think>";

export function createWriter(options: WriterOptions): Writer {
  let hash = rollHash(options.prompt, hashText(options.voice, 0x811c9dc5));
  let answer = answerSoFar(options.prompt);
  let count = options.answerTokens > 0 ? tokenize(answer).length : 0;
  return {
    next: () => {
      const piece = nextPiece(answer, mixHash(hash), options, count);
      if (piece === undefined) return undefined;
      hash = rollHash(piece, hash);
      answer = keepTail(answer + piece);
      count += 1;
      return piece;
    },
  };
}

function answerSoFar(prompt: string): string {
  const at = prompt.lastIndexOf(ANSWER_MARKER);
  return at < 0 ? keepTail(prompt) : prompt.slice(at + ANSWER_MARKER.length);
}

/** Decisions look back one sentence; a marker of thinking must survive, so the head is kept when it is one. */
function keepTail(text: string): string {
  if (text.length <= 2048) return text;
  const isOpen = text.startsWith(THINK_OPEN) && !text.includes(THINK_CLOSE);
  return (isOpen ? THINK_OPEN : "") + text.slice(-1024);
}

function nextPiece(answer: string, dice: number, options: WriterOptions, count: number): string | undefined {
  if (options.answerTokens > 0 && count >= options.answerTokens) return undefined;
  if (options.isThinking && answer === "") return THINK_OPEN;
  const isInThought = options.isThinking && answer.startsWith(THINK_OPEN) && !answer.includes(THINK_CLOSE);
  if (isInThought) return nextThought(answer, dice);
  const sentence = answer.slice(lastSentenceEnd(answer));
  const words = sentence.split(" ").length - 1;
  if (sentence.trim() === "" && answer.endsWith(".")) {
    const mayEnd = options.answerTokens === 0 && dice % 5 === 0;
    return mayEnd ? undefined : ` ${capitalized(pickWord(dice))}`;
  }
  if (sentence.trim() === "") return capitalized(pickWord(dice));
  return nextInSentence(words, sentence, dice);
}

function nextThought(answer: string, dice: number): string {
  if (answer === THINK_OPEN) return "\n";
  if (answer.endsWith("\n")) return capitalized(pickWord(dice));
  if (answer.endsWith(".")) return dice % 3 === 0 ? THINK_CLOSE : ` ${capitalized(pickWord(dice))}`;
  const sentence = answer.slice(lastSentenceEnd(answer));
  return nextInSentence(sentence.split(" ").length - 1, sentence, dice);
}

function nextInSentence(words: number, sentence: string, dice: number): string {
  if (words >= 12 || (words >= 5 && dice % 6 === 0)) return ".";
  if (words >= 3 && dice % 11 === 0 && !sentence.endsWith(",")) return ",";
  return ` ${pickWord(dice)}`;
}

function lastSentenceEnd(text: string): number {
  const thought = text.lastIndexOf(THINK_CLOSE);
  const afterThought = thought < 0 ? 0 : thought + THINK_CLOSE.length;
  return Math.max(text.lastIndexOf(".") + 1, text.lastIndexOf("\n") + 1, afterThought);
}

function pickWord(dice: number): string {
  return WORDS[(dice >>> 8) % WORDS.length] ?? "word";
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
