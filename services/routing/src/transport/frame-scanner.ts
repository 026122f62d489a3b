/**
 * Follows the 5-byte prefixes of gRPC messages through a byte stream without decoding any of them, and tells the kinds of
 * a token stream apart by the first byte of each message (the proto's oneof: progress 0x0a, chunk 0x12, done 0x1a).
 *
 * It keeps numbers only: no buffer, no reference into what was pushed. A prefix may be split over DATA frames anywhere.
 */
import type { FramesSeen } from "./attempt.ts";

const PREFIX_BYTES = 5;
export const PROGRESS_TAG = 0x0a;
const DONE_TAG = 0x1a;

export class FrameScanner implements FramesSeen {
  /** Bytes of the current message that are still to come. */
  #bodyLeft = 0;
  /** Bytes of the current prefix that were seen, 0..4. */
  #prefixSeen = 0;
  #length = 0;
  /** First byte of the current message; undefined before it came. */
  #tag: number | undefined;

  /** Messages that ended, without the empty ones. */
  messages = 0;
  /** Messages of length 0: they have no tag and must not be forwarded. */
  emptyMessages = 0;
  /**
   * Messages that ended and are not progress: with the first one forwarded the attempt is committed. One that only began
   * does not count, since nothing of it is forwarded and another node may still give the answer.
   */
  outputs = 0;
  hasDone = false;
  /** Whether any message had the compression flag: its tag cannot be read, so the stream cannot be trusted. */
  isCompressed = false;

  /** Returns how many bytes of `data` end at a message boundary; the rest belongs to an unfinished message. */
  push(data: Uint8Array): number {
    const end = data.length;
    let at = 0;
    let whole = 0;
    while (at < end) {
      if (this.#bodyLeft > 0) {
        this.#tag ??= data[at] ?? 0;
        const taken = Math.min(this.#bodyLeft, end - at);
        this.#bodyLeft -= taken;
        at += taken;
        if (this.#bodyLeft > 0) break;
        this.#endMessage(this.#tag);
        whole = at;
      } else {
        this.#readPrefixByte(data[at] ?? 0);
        at++;
        if (this.#prefixSeen === 0 && this.#bodyLeft === 0) whole = at;
      }
    }
    return whole;
  }

  /** Whether the stream stands at a boundary: nothing of an unfinished message was seen. */
  get isAtBoundary(): boolean {
    return this.#bodyLeft === 0 && this.#prefixSeen === 0;
  }

  /** Bytes that the unfinished message still lacks, once its prefix is complete. */
  get bytesLeft(): number {
    return this.#bodyLeft;
  }

  #readPrefixByte(byte: number): void {
    if (this.#prefixSeen === 0) {
      if (byte !== 0) this.isCompressed = true;
      this.#length = 0;
    } else {
      this.#length = ((this.#length << 8) | byte) >>> 0;
    }
    if (++this.#prefixSeen < PREFIX_BYTES) return;
    this.#prefixSeen = 0;
    this.#bodyLeft = this.#length;
    if (this.#length === 0) this.emptyMessages++;
  }

  #endMessage(tag: number): void {
    this.#tag = undefined;
    this.messages++;
    if (tag === PROGRESS_TAG) return;
    this.outputs++;
    if (tag === DONE_TAG) this.hasDone = true;
  }
}

/** `frames` without its empty messages; it must consist of whole messages. Rare, so it may copy. */
export function withoutEmptyMessages(frames: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const { start, end } of boundsOf(frames)) {
    if (end - start > PREFIX_BYTES) kept.push(frames.subarray(start, end));
  }
  return Buffer.concat(kept);
}

/** `frames`, whole messages from the beginning of a token stream, from its first output on. A view, not a copy. */
export function afterProgress(frames: Uint8Array): Uint8Array {
  for (const { start } of boundsOf(frames)) {
    if (frames[start + PREFIX_BYTES] !== PROGRESS_TAG) return frames.subarray(start);
  }
  return frames.subarray(frames.length);
}

/** The messages in `frames`, which must consist of whole ones, without their prefixes. Views, not copies. */
export function* messagesOf(frames: Uint8Array): Generator<Uint8Array> {
  for (const { start, end } of boundsOf(frames)) yield frames.subarray(start + PREFIX_BYTES, end);
}

function* boundsOf(frames: Uint8Array): Generator<{ readonly start: number; readonly end: number }> {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  for (let start = 0; start < frames.length; ) {
    const end = start + PREFIX_BYTES + view.getUint32(start + 1);
    yield { start, end };
    start = end;
  }
}
