/**
 * Where log lines go: standard error, without ever holding the program up. What a reader does not read waits, up to a bound; beyond
 * it lines are dropped, as is everything once the reader is gone. pino's own destination (sonic-boom) repeats its last write for
 * ever when the reader is gone at the exit, and the process never ends.
 */
import { write, writeSync } from "node:fs";

/** Lines that wait for a reader that does not read. */
const WAITING_BYTES_LIMIT = 1024 * 1024;
/** A pipe that is full is looked at again after this long. */
const FULL_RETRY_MS = 100;

export class ErrorOutput {
  readonly #descriptor: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** With the file system now; it is written from its start again where the pipe was full. */
  #writing: Buffer | undefined;
  #isReaderGone = false;
  #isExitWatched = false;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#isReaderGone || this.#waitingBytes + bytes.length > WAITING_BYTES_LIMIT) return;
    if (!this.#isExitWatched) process.once("exit", () => this.#writeLast());
    this.#isExitWatched = true;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#writing === undefined) this.#next();
  }

  #next(): void {
    const bytes = this.#writing ?? this.#takeWaiting();
    this.#writing = bytes.length === 0 ? undefined : bytes;
    if (bytes.length === 0) return;
    write(this.#descriptor, bytes, 0, bytes.length, null, (error, written) => {
      if (error === null) {
        this.#writing = bytes.subarray(written);
        if (this.#writing.length === 0) this.#writing = undefined;
        this.#next();
      } else if (error.code === "EAGAIN") setTimeout(() => this.#next(), FULL_RETRY_MS).unref();
      else this.#giveUp();
    });
  }

  #takeWaiting(): Buffer {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  #giveUp(): void {
    this.#isReaderGone = true;
    this.#writing = undefined;
    this.#takeWaiting();
  }

  /** Once, whatever comes of it: nobody may hold an exit. */
  #writeLast(): void {
    if (this.#isReaderGone) return;
    try {
      writeSync(this.#descriptor, this.#takeWaiting());
    } catch {
      // Full, or nobody reads.
    }
  }
}
