/**
 * Cuts the text of a JSON array into the texts of its objects, piece by piece as it comes. A list of 10,000 instances is 14 MB:
 * one JSON.parse of it holds the event loop for 200 ms, and nearly all of it is what the last answer said already. It judges only
 * the array itself; what stands between two braces is for a JSON parser.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

export class EntrySplitter {
  /** Brackets and braces that are open: 0 outside the array, 1 between its objects. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #isClosed = false;
  #isBroken = false;
  /** The begin of an object that goes on in the next piece. */
  #rest: Buffer[] = [];

  /** The objects that end in this piece, as bytes. */
  push(piece: Uint8Array): Buffer[] {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    const entries: Buffer[] = [];
    let begin = 0;
    for (let at = this.#isInString ? this.#afterString(bytes, 0) : 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#isBroken ||= this.#depth < 2;
        at = this.#afterString(bytes, at + 1) - 1;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.#open(byte);
        if (this.#depth === 2) begin = at;
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (this.#close()) entries.push(this.#take(bytes.subarray(begin, at + 1)));
      } else if (this.#depth < 2 && byte !== undefined && byte > 0x20 && byte !== COMMA) {
        this.#isBroken = true;
      }
      if (this.#isBroken) return [];
    }
    if (this.#depth >= 2) this.#rest.push(Buffer.from(bytes.subarray(begin)));
    return entries;
  }

  /** Whether what came was one whole array of objects. */
  get isWhole(): boolean {
    return this.#isClosed && !this.#isBroken;
  }

  /** Where the text goes on after the string that `at` is in; most bytes are in strings, so this loop does little. */
  #afterString(bytes: Buffer, from: number): number {
    let at = from;
    if (this.#isEscaped) at++;
    this.#isEscaped = false;
    for (; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) {
        this.#isInString = false;
        return at + 1;
      }
    }
    this.#isInString = true;
    this.#isEscaped = at > bytes.length;
    return bytes.length;
  }

  #open(byte: number): void {
    const expected = this.#depth === 0 ? OPEN_BRACKET : OPEN_BRACE;
    if (this.#depth < 2 && (byte !== expected || this.#isClosed)) this.#isBroken = true;
    this.#depth++;
  }

  /** Whether an object of the array ended. */
  #close(): boolean {
    this.#depth--;
    this.#isClosed ||= this.#depth === 0;
    this.#isBroken ||= this.#depth < 0;
    return this.#depth === 1;
  }

  #take(end: Buffer): Buffer {
    if (this.#rest.length === 0) return end;
    const whole = Buffer.concat([...this.#rest, end]);
    this.#rest = [];
    return whole;
  }
}
