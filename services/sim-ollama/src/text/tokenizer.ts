/**
 * Cuts text into pieces that count as tokens. Not any real model's vocabulary: about one piece per word, so that
 * counts have the right order of magnitude and a piece never splits a character.
 */

const PIECE = /<\|?\/?[a-z_]{1,24}\|?>| ?\p{Extended_Pictographic}| ?\p{L}[\p{L}\p{M}'’]{0,11}|\d|[ \t]+|\n+|./gsu;

/** The size of the vocabulary that the ids of tokens are drawn from. */
const VOCABULARY_SIZE = 49_152;

export function tokenize(text: string): string[] {
  return text.match(PIECE) ?? [];
}

/** A stable id per piece, for the `context` field; it cannot be turned back into text. */
export function tokenId(piece: string): number {
  return hashText(piece, 0x811c9dc5) % VOCABULARY_SIZE;
}

/** FNV-1a over UTF-16 units with a final mix, 32 bits. `state` chains calls. */
export function hashText(text: string, state: number): number {
  return mixHash(rollHash(text, state));
}

/** FNV-1a without the final mix, so that hash(a + b) continues hash(a). */
export function rollHash(text: string, state: number): number {
  let hash = state >>> 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

export function mixHash(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
