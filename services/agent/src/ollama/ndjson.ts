/**
 * Cuts a stream of bytes into lines of newline-delimited JSON, whatever the chunks. It knows bytes and lines, not JSON.
 */

const NEWLINE = 0x0a;

export interface NdjsonDecoder {
  /** The lines that `chunk` completes, oldest first, without blank ones. Throws a LineTooLongError over the limit. */
  push(chunk: Uint8Array): string[];
  /** The unfinished last line at the end of the stream; undefined when there is none. */
  end(): string | undefined;
}

export class LineTooLongError extends Error {
  override readonly name = "LineTooLongError";
}

/**
 * `lineLimitBytes` bounds what one line may hold. Bytes are kept as they come and decoded a line at a time, so a character
 * that is split over two chunks is never torn, and a long line costs no repeated copies.
 */
export function createNdjsonDecoder(lineLimitBytes: number): NdjsonDecoder {
  let parts: Uint8Array[] = [];
  let partsBytes = 0;

  const keep = (part: Uint8Array): void => {
    if (part.length === 0) return;
    partsBytes += part.length;
    if (partsBytes > lineLimitBytes) throw new LineTooLongError(`a line is longer than ${lineLimitBytes} bytes`);
    parts.push(part);
  };

  const take = (): string => {
    const only = parts.length === 1 ? parts[0] : undefined;
    const bytes =
      only === undefined ? Buffer.concat(parts, partsBytes) : Buffer.from(only.buffer, only.byteOffset, only.length);
    parts = [];
    partsBytes = 0;
    return bytes.toString("utf8").trim();
  };

  return {
    push: (chunk) => {
      const lines: string[] = [];
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        keep(chunk.subarray(start, end));
        const line = take();
        if (line !== "") lines.push(line);
        start = end + 1;
      }
      keep(chunk.subarray(start));
      return lines;
    },
    end: () => {
      const line = take();
      return line === "" ? undefined : line;
    },
  };
}
