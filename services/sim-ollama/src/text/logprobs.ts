/** Invents log probabilities for a piece of text, in the shape of Ollama's `logprobs`. */
import { hashText, tokenize } from "./tokenizer.ts";
import { WORDS } from "./words.ts";

interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface Logprob extends TokenLogprob {
  readonly top_logprobs?: readonly TokenLogprob[];
}

/** `top` alternatives per token, the token itself among them first; 0 leaves them out. */
export function logprobsOf(text: string, top: number): Logprob[] {
  return tokenize(text).map((token) => {
    const own = tokenLogprob(token, -((hashText(token, 7) % 1000) / 2000));
    if (top === 0) return own;
    const others = Array.from({ length: top - 1 }, (_, i) =>
      tokenLogprob(` ${WORDS[i % WORDS.length]}`, own.logprob - 1 - i),
    );
    return { ...own, top_logprobs: [own, ...others] };
  });
}

function tokenLogprob(token: string, logprob: number): TokenLogprob {
  return { token, logprob, bytes: [...Buffer.from(token)] };
}
