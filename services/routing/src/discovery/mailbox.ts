/**
 * Hands what one side puts in to the side that iterates, in order. It waits for nothing else and loses nothing; what lies in it is
 * as much as was put in within one turn of the event loop.
 */
export class Mailbox<T> {
  #waiting: T[] = [];
  #wake: (() => void) | undefined;

  put(items: readonly T[]): void {
    for (const item of items) this.#waiting.push(item);
    this.#wake?.();
  }

  /** Until `signal` aborts. */
  async *take(signal: AbortSignal): AsyncIterable<T> {
    const wake = (): void => this.#wake?.();
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        const items = this.#waiting;
        this.#waiting = [];
        yield* items;
        if (this.#waiting.length === 0 && !signal.aborted) await this.#woken();
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
