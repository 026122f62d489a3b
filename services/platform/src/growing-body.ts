/**
 * The bytes of a request as they come, in one block that doubles: a body that comes in a million pieces costs its length and
 * not its number of pieces. What the block takes counts against the budget that all requests share.
 */
import { Buffer } from "node:buffer";
import type { ByteBudget } from "./byte-budget.ts";
import { DroverError, invariant } from "./drover-error.ts";

/** An ordinary prompt fits. */
const FIRST_BLOCK_BYTES = 1_024;
/** Bodies are held as long as calls run, so that there is likely room soon. */
const RETRY_AFTER_MS = 1_000;

export class GrowingBody {
  readonly #bodies: ByteBudget;
  #block: Buffer | undefined = Buffer.alloc(0);
  #length = 0;
  #takenBytes = 0;
  #expectedBytes = Number.POSITIVE_INFINITY;

  constructor(bodies: ByteBudget) {
    this.#bodies = bodies;
  }

  get length(): number {
    return this.#length;
  }

  /** What came so far. Not after `release`: nobody may hold on to bytes that count no more. */
  get bytes(): Uint8Array {
    invariant(this.#block !== undefined, "a request's body was used after its release");
    return this.#block.subarray(0, this.#length);
  }

  /** The length that was announced: the block does not grow beyond it. */
  expect(bytes: number): void {
    this.#expectedBytes = bytes;
  }

  /** Throws a DroverError when the budget has no room; what was taken stays taken until `release`. Ignored after that. */
  append(piece: Uint8Array): void {
    if (this.#block === undefined) return;
    const end = this.#length + piece.length;
    if (end > this.#block.length) this.#block = this.#grown(this.#block, end);
    this.#block.set(piece, this.#length);
    this.#length = end;
  }

  /** Drops the bytes, which somebody else has copied and holds on; they count until `release`. */
  forget(): void {
    this.#block = undefined;
  }

  release(): void {
    this.#bodies.give(this.#takenBytes);
    this.#takenBytes = 0;
    this.#block = undefined;
  }

  #grown(block: Buffer, neededBytes: number): Buffer {
    const wantedBytes = Math.max(2 * block.length, FIRST_BLOCK_BYTES);
    const capacity = Math.max(Math.min(wantedBytes, this.#expectedBytes), neededBytes);
    if (!this.#bodies.tryTake(capacity - block.length)) {
      const mebibytes = Math.floor(this.#bodies.limit / 1024 / 1024);
      const words = `This Drover holds as many bytes of requests as it may (${mebibytes} MiB): try again, or send smaller images.`;
      throw new DroverError("overloaded", words, { retryAfterMs: RETRY_AFTER_MS });
    }
    this.#takenBytes = capacity;
    const grown = Buffer.allocUnsafe(capacity);
    grown.set(block.subarray(0, this.#length));
    return grown;
  }
}
