/** Keeps the values of one label few: what callers may choose freely must not fill the memory of who collects metrics. */

/** Models or nodes told apart; a fleet with more sees the rest as one. */
const VALUES_MAX = 500;

/** OpenTelemetry's word for what is not told apart. */
export const OTHER = "_OTHER";

export class BoundedValues {
  readonly #limit: number;
  readonly #values = new Set<string>();

  constructor(limit = VALUES_MAX) {
    this.#limit = limit;
  }

  /** `value` where it is one of the first; else `_OTHER`. */
  of(value: string): string {
    if (this.#values.has(value)) return value;
    if (this.#values.size >= this.#limit) return OTHER;
    this.#values.add(value);
    return value;
  }
}
