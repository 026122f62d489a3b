/**
 * The `grpc-message` header: percent-encoding by gRPC's rules (PROTOCOL-HTTP2, "Status-Message") and the limit of its length.
 */
import { Buffer } from "node:buffer";

/** Of the encoded text: C-core fails a call whose trailers together exceed 8 KiB. */
export const MESSAGE_LIMIT = 1024;

const ELLIPSIS = "…";

/**
 * Well-formed text whose encoded form has at most `limit` bytes, by default 1 KiB, cut between characters with `…`. It counts encodeURIComponent's form,
 * the longer of the two that are in use (connect's), which also throws on a lone surrogate.
 */
export function limitMessage(message: string, limit: number = MESSAGE_LIMIT): string {
  // No character takes less than one byte, so nothing behind the limit can matter; a long text is not walked.
  const text = message.slice(0, limit + 1).toWellFormed();
  let used = 0;
  let end = 0;
  let cutAt = 0;
  const room = limit - encodeURIComponent(ELLIPSIS).length;
  for (const character of text) {
    used += encodeURIComponent(character).length;
    end += character.length;
    if (used <= room) cutAt = end;
    if (used > limit) return text.slice(0, cutAt) + ELLIPSIS;
  }
  return text;
}

/** Bytes outside of space to tilde, the percent sign, and space at either end (HTTP/2 forbids it there) become %XX. */
export function encodeGrpcMessage(message: string): string {
  const bytes = Buffer.from(message.toWellFormed(), "utf8");
  let encoded = "";
  bytes.forEach((byte, index) => {
    const isOuterSpace = byte === 0x20 && (index === 0 || index === bytes.length - 1);
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && !isOuterSpace;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return encoded;
}

/** Decodes what can be decoded and keeps the rest as it is: a broken message must never hide the status. */
export function decodeGrpcMessage(encoded: string): string {
  if (!encoded.includes("%")) return encoded;
  const bytes: number[] = [];
  const raw = Buffer.from(encoded, "utf8");
  for (let index = 0; index < raw.length; index++) {
    const byte = raw[index] ?? 0;
    const hex = byte === 0x25 ? raw.toString("latin1", index + 1, index + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      index += 2;
    } else {
      bytes.push(byte);
    }
  }
  return Buffer.from(bytes).toString("utf8");
}
