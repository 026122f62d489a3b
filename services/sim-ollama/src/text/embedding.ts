/**
 * Invents vectors for texts: the sum of one fixed direction per token, so that texts with common words are near each
 * other. The same model gives the same vector everywhere.
 */
import { seededRng } from "@drover/platform";
import { hashText } from "./tokenizer.ts";

/** Not normalised; `model` is any string that names the weights. */
export function embed(tokens: readonly string[], model: string, length: number): number[] {
  const vector = new Array<number>(length).fill(0);
  const modelHash = hashText(model, 0x811c9dc5);
  for (const token of tokens) {
    const rng = seededRng(hashText(token.trim().toLowerCase(), modelHash));
    for (let i = 0; i < length; i++) vector[i] = (vector[i] ?? 0) + rng.next() - 0.5;
  }
  return vector;
}

/** To length 1, in the precision of 32-bit floats. */
export function normalized(vector: readonly number[]): number[] {
  const norm = Math.max(Math.hypot(...vector), 1e-12);
  return vector.map((part) => Number(Math.fround(part / norm).toPrecision(8)));
}
