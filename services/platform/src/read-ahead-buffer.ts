/**
 * What was read ahead of its reader, up to a bound. The writer learns when to pause; the reader waits for an item, the end or
 * the failure. It knows nothing of what items are.
 */

type End = { readonly kind: "open" } | { readonly kind: "ended" } | { readonly kind: "failed"; readonly error: Error };

interface Sized<T> {
  readonly item: T;
  readonly bytes: number;
}

/** Read items are cut off the array in steps of this many, so that each read stays cheap. */
const COMPACT_AFTER = 1_024;

export class ReadAheadBuffer<T> {
  readonly #limitBytes: number;
  readonly #items: Sized<T>[] = [];
  #head = 0;
  #bytes = 0;
  #end: End = { kind: "open" };
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** One item over the limit is still taken whole, so the bound is the limit plus one item. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#limitBytes && this.#end.kind === "open";
  }

  /** What it holds; for tests and statistics. */
  get bufferedBytes(): number {
    return this.#bytes;
  }

  /** Adds an item; ignored after the end. */
  push(item: T, bytes: number): void {
    if (this.#end.kind !== "open") return;
    this.#items.push({ item, bytes });
    this.#bytes += bytes;
    this.#wake();
  }

  /** No more will come; what is here can still be read. */
  end(): void {
    if (this.#end.kind === "open") this.#end = { kind: "ended" };
    this.#wake();
  }

  /** The reader gets what is here, then `error`. The first end stands. */
  fail(error: Error): void {
    if (this.#end.kind === "open") this.#end = { kind: "failed", error };
    this.#wake();
  }

  /** As `fail`, but drops what is here: nobody wants it any more. Stands over every earlier end. */
  abort(error: Error): void {
    this.#items.length = 0;
    this.#head = 0;
    this.#bytes = 0;
    this.#end = { kind: "failed", error };
    this.#wake();
  }

  /** The next item, or undefined at the end. Throws the failure. One reader at a time. */
  async take(): Promise<T | undefined> {
    while (true) {
      const next = this.#shift();
      if (next !== undefined) return next.item;
      switch (this.#end.kind) {
        case "ended":
          return undefined;
        case "failed":
          throw this.#end.error;
        case "open":
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
      }
    }
  }

  /** Resolves when something was taken since, or when the buffer was ended. One writer. */
  async taken(): Promise<void> {
    if (!this.isFull) return;
    await new Promise<void>((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  #shift(): Sized<T> | undefined {
    const next = this.#items[this.#head];
    if (next === undefined) return undefined;
    this.#head++;
    this.#bytes -= next.bytes;
    if (this.#head === this.#items.length || this.#head >= COMPACT_AFTER) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    this.#wakeTheWriter();
    return next;
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
    if (!this.isFull) this.#wakeTheWriter();
  }

  #wakeTheWriter(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}
