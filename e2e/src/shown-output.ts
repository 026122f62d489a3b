/**
 * Compares what a page shows with what a program printed. `…` stands for anything within a line, alone on a line for any lines.
 * Spaces at the end of a line cannot be seen, and do not count.
 */

/** Undefined: it is as shown; else what was printed, for the failure's message. */
export function differsFromShown(printed: string, shown: string): string | undefined {
  const lines = shown.trim().split("\n");
  const pattern = lines.map((line) => (line.trim() === "…" ? "(?:.*\\n)*?" : `${linePattern(line)}\\n`)).join("");
  return new RegExp(`^${pattern}$`).test(`${printed.trim()}\n`.replace(/ +$/gm, "")) ? undefined : printed;
}

function linePattern(line: string): string {
  return line
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*?");
}
