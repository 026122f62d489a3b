/**
 * How many bytes of a request make a token, learned per model, so that a prompt's tokens can be guessed without a tokenizer.
 */

/** Before anything is learned: what English text has in most tokenizers. */
const PRIOR_BYTES_PER_TOKEN = 4;

/** What the newest measurement weighs. */
const NEWEST_WEIGHT = 0.3;

/** In a short prompt the model's template counts for too much. */
const LEAST_TOKENS = 64;

/** Outside of these the prompt was cut, or holds what is no text. */
const FEWEST_BYTES_PER_TOKEN = 0.5;
const MOST_BYTES_PER_TOKEN = 16;

/** The models learned first are forgotten over this. */
const MAX_MODELS = 256;

export class PromptSizes {
  readonly #bytesPerToken = new Map<string, number>();

  /** 1 and up. */
  estimateTokens(modelKey: string, promptBytes: number): number {
    return Math.max(1, Math.round(promptBytes / this.bytesPerToken(modelKey)));
  }

  bytesPerToken(modelKey: string): number {
    return this.learned(modelKey) ?? PRIOR_BYTES_PER_TOKEN;
  }

  /** Undefined before anything is learned of the model. */
  learned(modelKey: string): number | undefined {
    return this.#bytesPerToken.get(modelKey);
  }

  /** `contextLength` 0 when not known: a prompt that fills it was probably cut, and teaches nothing. */
  learn(modelKey: string, promptBytes: number, tokens: number, contextLength: number): void {
    if (tokens < LEAST_TOKENS || (contextLength > 0 && tokens > 0.9 * contextLength)) return;
    const newest = promptBytes / tokens;
    if (newest < FEWEST_BYTES_PER_TOKEN || newest > MOST_BYTES_PER_TOKEN) return;
    // The first measurement of a model is better than any guess.
    const usual = this.#bytesPerToken.get(modelKey) ?? newest;
    this.#bytesPerToken.set(modelKey, usual + NEWEST_WEIGHT * (newest - usual));
    const oldest = this.#bytesPerToken.size > MAX_MODELS ? this.#bytesPerToken.keys().next().value : undefined;
    if (oldest !== undefined) this.#bytesPerToken.delete(oldest);
  }
}
