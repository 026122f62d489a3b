/**
 * The declarations in the compiler's .d.ts files, as text with their comments. No parser: the compiler writes each
 * declaration of a module from the first column on, so lines tell where one begins. (TypeScript 7 has no API for JavaScript, and
 * typedoc needs one.)
 */

export interface Declaration {
  readonly name: string;
  /** The comment above it, without its stars; empty: none. */
  readonly comment: string;
  /** Without the words `export` and `declare`. */
  readonly code: string;
}

export interface NamesFrom {
  readonly names: readonly string[];
  /** As written: `./client/chat.ts`. */
  readonly from: string;
}

const DECLARED = /^(?:export )?(?:declare )?(?:abstract )?(?:type|interface|class|function|const) (\w+)/;
const BEGINS = /^(?:export|import|declare|type|interface|const) /;

/** Those of a module itself, exported or not, overloads together, in their order. */
export function declarationsOf(text: string): readonly Declaration[] {
  const lines = text.split("\n");
  const begins = lines.flatMap((line, index) => (BEGINS.test(line) ? [index] : []));
  const found = new Map<string, Declaration>();
  for (const [order, at] of begins.entries()) {
    const name = DECLARED.exec(lines[at] ?? "")?.[1];
    if (name === undefined) continue;
    const code = withoutNextComment(lines.slice(at, begins[order + 1]).join("\n"));
    const plain = code.replace(/^(?:export )?(?:declare )?/, "").trim();
    const known = found.get(name);
    const comment = commentBefore(lines.slice(0, at).join("\n"));
    found.set(
      name,
      known === undefined ? { name, comment, code: plain } : { ...known, code: `${known.code}\n${plain}` },
    );
  }
  return [...found.values()];
}

/** `export { a, type B } from "./x.ts"`. */
export function reExportsOf(text: string): readonly NamesFrom[] {
  return namesFrom(text, /^export (?:type )?\{([^}]*)\} from "([^"]+)"/gm);
}

/** `import { a, type B } from "./x.ts"`; what is renamed is left out. */
export function importsOf(text: string): readonly NamesFrom[] {
  return namesFrom(text, /^import (?:type )?\{([^}]*)\} from "([^"]+)"/gm);
}

function namesFrom(text: string, pattern: RegExp): readonly NamesFrom[] {
  return [...text.matchAll(pattern)].map(([, names = "", from = ""]) => ({
    names: names
      .split(",")
      .map((name) => name.trim().replace(/^type /, ""))
      .filter((name) => /^\w+$/.test(name)),
    from,
  }));
}

/** What stands last and is a comment belongs to the declaration that follows. */
function withoutNextComment(text: string): string {
  return text.replace(/\s*\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/, "");
}

/** A comment that opens the file is the file's own, unless a second one follows. */
function commentBefore(text: string): string {
  const match = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(text);
  if (match === null || match.index === 0) return "";
  const lines = (match[1] ?? "").split("\n").map((line) => line.replace(/^\s*\* ?/, ""));
  return lines.join("\n").trim();
}
