/** Cuts what a program prints into lines, with a bound on each. */
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";

/** A longer line is given in parts. */
const LONGEST_LINE = 16 * 1024;

/** Calls `onLine` for every line without its end, also for a last one that has none. Resolves when the stream has ended. */
export async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
    while (rest.length >= LONGEST_LINE) {
      onLine(rest.slice(0, LONGEST_LINE));
      rest = rest.slice(LONGEST_LINE);
    }
  });
  await finished(stream, { writable: false }).catch(() => undefined);
  if (rest !== "") onLine(rest);
}
