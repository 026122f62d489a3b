/**
 * JSON as text: taking an object apart and putting one together without touching the text of its values. Key order and
 * digits of numbers matter to models and do not survive JSON.parse (integer-like keys move to the front, long integers
 * are rounded), so values that we only carry are never parsed into our own objects.
 */

/** A member of an object: its key, and the text of its value as it was written. */
export interface JsonMember {
  readonly key: string;
  readonly text: string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;

/** The members of the object in `text`, in order; undefined when it is no object. `text` must be valid JSON. */
export function objectMembers(text: string): JsonMember[] | undefined {
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACE) return undefined;
  const members: JsonMember[] = [];
  at = skipSpace(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACE) {
    const keyEnd = endOfValue(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const start = skipSpace(text, skipPast(text, keyEnd, COLON));
    const end = endOfValue(text, start);
    members.push({ key, text: text.slice(start, end) });
    at = skipSpace(text, skipPast(text, end, COMMA));
  }
  return members;
}

/** The texts of the elements of the array in `text`; undefined when it is no array. `text` must be valid JSON. */
export function arrayElements(text: string): string[] | undefined {
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACKET) return undefined;
  const elements: string[] = [];
  at = skipSpace(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = endOfValue(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, skipPast(text, end, COMMA));
  }
  return elements;
}

/** The text of member `key` of the object in `text`; the last one where it is written twice, as JSON.parse has it. */
export function memberText(text: string, key: string): string | undefined {
  return objectMembers(text)?.findLast((member) => member.key === key)?.text;
}

/** Writes one object, member by member. */
export class JsonObjectWriter {
  readonly #members = new Map<string, string>();

  /** Sets a member to a plain value; undefined leaves it out. Setting it again replaces it. */
  set(key: string, value: string | number | boolean | readonly (string | number)[] | undefined): this {
    if (value !== undefined) this.#members.set(key, JSON.stringify(value));
    return this;
  }

  /** Sets a member to a value that is JSON text already; undefined leaves it out. */
  setText(key: string, text: string | undefined): this {
    if (text !== undefined) this.#members.set(key, text);
    return this;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  toString(): string {
    const members = [...this.#members].map(([key, text]) => `${JSON.stringify(key)}:${text}`);
    return `{${members.join(",")}}`;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code === 0x20 || (code >= 0x09 && code <= 0x0d); code = text.charCodeAt(at))
    at++;
  return at;
}

function skipPast(text: string, from: number, code: number): number {
  const at = skipSpace(text, from);
  return text.charCodeAt(at) === code ? at + 1 : at;
}

/** The index after the value that starts at `start`. */
function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) return endOfString(text, start);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfContainer(text, start);
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || code <= 0x20) break;
  }
  return at;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at + 1;
}

function endOfContainer(text: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    at++;
    if (depth === 0) break;
  }
  return at;
}
