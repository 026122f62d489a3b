/**
 * What stops a program before it works, in words for the person who started it: a wrong flag, a taken port, a locked directory.
 * runProgram prints the sentences and exits with 2; anything else that stops a program is a fault and exits with 1.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One sentence each, naming the flag. */
  readonly problems: readonly string[];

  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const sentences = typeof problems === "string" ? [problems] : problems;
    super(sentences.join("\n"), options);
    this.problems = sentences;
  }
}
