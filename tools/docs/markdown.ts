/**
 * What tests and generators need of a Markdown page: its headings as GitHub anchors them, links, code spans, tables and fenced
 * blocks. Not a whole parser: it reads what this repository writes (ATX headings, backtick fences, pipe tables).
 */
export interface Fence {
  /** All that follows the backticks: `sh`, `ts file=hello.ts`. */
  readonly info: string;
  readonly text: string;
  /** Of its opening backticks, from 1. */
  readonly line: number;
}

export interface Link {
  readonly target: string;
  readonly line: number;
}

export interface Markdown {
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly Link[];
  readonly fences: readonly Fence[];
  /** The page without its fenced blocks, line by line; what stood in a block is empty. */
  readonly proseLines: readonly string[];
}

export function readMarkdown(text: string): Markdown {
  const { fences, proseLines } = splitFences(text.split("\n"));
  return { anchors: anchorsOf(proseLines), links: linksOf(proseLines), fences, proseLines };
}

function splitFences(lines: readonly string[]): Pick<Markdown, "fences" | "proseLines"> {
  const fences: Fence[] = [];
  const proseLines: string[] = [];
  let open: { readonly info: string; readonly line: number; readonly text: string[] } | undefined;
  for (const [index, line] of lines.entries()) {
    const info = /^```(.*)$/.exec(line)?.[1]?.trim();
    if (open === undefined && info !== undefined) open = { info, line: index + 1, text: [] };
    else if (open !== undefined && info === "") {
      fences.push({ ...open, text: `${open.text.join("\n")}\n` });
      open = undefined;
    } else open?.text.push(line);
    const isProse = open === undefined && info === undefined;
    proseLines.push(isProse ? line : "");
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} has no end`);
  return { fences, proseLines };
}

function anchorsOf(lines: readonly string[]): ReadonlySet<string> {
  const headings = lines.flatMap((line) => /^#{1,6} +(.*?)\s*#*$/.exec(line)?.[1] ?? []);
  return new Set(uniqueAnchors(headings));
}

/** One for each heading of a page, in their order: with a number where an earlier one has the same. */
export function uniqueAnchors(headings: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return headings.map((heading) => {
    const base = anchorOf(heading);
    let anchor = base;
    for (let count = 1; taken.has(anchor); count++) anchor = `${base}-${count}`;
    taken.add(anchor);
    return anchor;
  });
}

/** As GitHub makes it: lower case, without punctuation, spaces to hyphens. */
export function anchorOf(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

function linksOf(lines: readonly string[]): readonly Link[] {
  return lines.flatMap((line, index) =>
    [...line.replace(/(`+).*?\1/g, "").matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => ({
      target,
      line: index + 1,
    })),
  );
}

/** The texts of the code spans of a line, also of those that hold backticks themselves. */
export function codeSpansOf(line: string): readonly string[] {
  return [...line.matchAll(/(`+)(.+?)\1(?!`)/g)].map(([, , span = ""]) => span.trim());
}

/** The cells of a table's row; undefined for any other line. A pipe within a code span or behind a backslash is no border. */
export function cellsOf(line: string): readonly string[] | undefined {
  if (!line.startsWith("|")) return undefined;
  const masked = line.replace(/(`+).*?\1(?!`)|\\\|/g, (whole) => whole.replaceAll("|", "\u0000"));
  return masked
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll("\u0000", "|"));
}
