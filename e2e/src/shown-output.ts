/** Compares what a page shows with what a program printed. `…` stands for anything within a line, alone on a line for any lines. */

/** Undefined: it is as shown; else what was printed, for the failure's message. */
export function differsFromShown(printed: string, shown: string): string | undefined {
  return shownPattern(shown).test(`${printed.trim()}\n`) ? undefined : printed;
}

/** Whether what was printed so far begins as shown. */
export function beginsAsShown(printed: string, shown: string): boolean {
  return new RegExp(`^${linesPattern(shown)}`).test(printed.trimStart());
}

const shownPattern = (shown: string): RegExp => new RegExp(`^${linesPattern(shown)}$`);

function linesPattern(shown: string): string {
  const lines = shown.trim().split("\n");
  return lines.map((line) => (line.trim() === "…" ? "(?:.*\\n)*?" : `${linePattern(line)}\\n`)).join("");
}

function linePattern(line: string): string {
  return line
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*?");
}
