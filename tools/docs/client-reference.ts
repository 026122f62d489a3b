/** The reference of @drover/client: what its entries export, from the declarations that the compiler emits. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ROOT } from "../run-tool.ts";
import { type Declaration, declarationsOf, reExportsOf } from "./declarations.ts";
import { anchorOf, uniqueAnchors } from "./markdown.ts";
import type { Page } from "./proto-reference.ts";

/** An entry of the package as users import it. */
export interface Entry {
  readonly name: string;
  readonly page: string;
  /** From the root of the repository. */
  readonly source: string;
  readonly about: string;
}

interface Exported extends Declaration {
  /** The file that declares it, without folder and ending: its part of the page. */
  readonly part: string;
}

const BETWEEN = "// --- the next one";

/** The pages of the entries in this order; what an earlier one has is named by a later one, not repeated. */
export function clientPages(entries: readonly Entry[]): readonly Page[] {
  const folder = mkdtempSync(path.join(tmpdir(), "drover-declarations-"));
  try {
    emitDeclarations(entries, folder);
    const told = new Map<string, string>();
    return entries.map((entry) => {
      const all = exportsOf(path.join(folder, entry.source.replace(/\.ts$/, ".d.ts")));
      const page = entryPage(entry, all, told);
      for (const { name } of all) if (!told.has(name)) told.set(name, entry.page);
      return page;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function emitDeclarations(entries: readonly Entry[], folder: string): void {
  const config = {
    extends: path.join(ROOT, "tsconfig.base.json"),
    // What is wrong with a type is told by the check of types.
    compilerOptions: {
      noEmit: false,
      noCheck: true,
      declaration: true,
      emitDeclarationOnly: true,
      stripInternal: true,
      rootDir: ROOT,
      outDir: folder,
      typeRoots: [path.join(ROOT, "node_modules", "@types")],
    },
    files: entries.map(({ source }) => path.join(ROOT, source)),
  };
  const file = path.join(folder, "tsconfig.json");
  writeFileSync(file, JSON.stringify(config));
  runBin("tsc", ["--project", file]);
}

function exportsOf(entryFile: string): readonly Exported[] {
  const text = readFileSync(entryFile, "utf8");
  const own = declarationsOf(text).map((declaration) => ({ ...declaration, part: "" }));
  const modules = reExportsOf(text).map(({ names, from }) => {
    const file = path.join(path.dirname(entryFile), from.replace(/\.ts$/, ".d.ts"));
    const part = path.basename(from, ".ts");
    return { names, declared: declarationsOf(readFileSync(file, "utf8")).map((each) => ({ ...each, part })) };
  });
  const named = new Set(modules.flatMap(({ names }) => names));
  const all = modules.flatMap(({ declared }) => declared);
  return [
    ...own,
    ...withThoseTheyName(
      all.filter(({ name }) => named.has(name)),
      all,
    ),
  ];
}

/** What is not exported, but has a part of what is: `ChatResult extends AnswerResult`. */
function withThoseTheyName(exported: readonly Exported[], all: readonly Exported[]): readonly Exported[] {
  const told = new Set(exported);
  for (const each of told) {
    const words = new Set(each.code.match(/\w+/g));
    for (const other of all) if (words.has(other.name) && isType(other)) told.add(other);
  }
  return all.filter((each) => told.has(each));
}

const isType = ({ code }: Declaration): boolean => /^(?:type|interface) /.test(code);

function entryPage({ name, page, about }: Entry, all: readonly Exported[], told: ReadonlyMap<string, string>): Page {
  const fresh = formatted(all.filter((each) => !told.has(each.name)));
  const known = all.filter((each) => told.has(each.name));
  const links = known.map((each) => `[${each.name}](${told.get(each.name)}#${anchorOf(each.name)})`);
  const more = links.length === 0 ? "" : `\nAlso exported: ${links.join(", ")}.\n`;
  const head = `# ${name}\n\n${about}\n\nWritten from the declarations that the compiler emits, by \`npm run generate\`.\n`;
  return {
    name: page,
    title: name,
    summary: about,
    text: `${head}\n${contents(fresh)}${more}\n${fresh.map(section).join("\n")}`,
  };
}

function contents(all: readonly Exported[]): string {
  const anchors = uniqueAnchors(all.map(({ name }) => name));
  const links = all.map(({ name }, index) => `[${name}](#${anchors[index]})`);
  const parts = [...new Set(all.map(({ part }) => part))];
  const rows = parts.map((part) => `- ${links.filter((_, index) => all[index]?.part === part).join(", ")}\n`);
  return rows.join("");
}

function section({ name, comment, code }: Declaration): string {
  const about = comment === "" ? "" : `${comment}\n\n`;
  return `## ${name}\n\n${about}\`\`\`ts\n${code}\n\`\`\`\n`;
}

/** In the form of the repository's own code; all at once, since each run of the formatter takes its time. */
function formatted(all: readonly Exported[]): readonly Exported[] {
  const text = all.map(({ code }) => code).join(`\n${BETWEEN}\n`);
  const codes = runBin("biome", ["format", "--stdin-file-path", "tools/docs/formatted.d.ts"], text).split(BETWEEN);
  return all.map((each, index) => ({ ...each, code: (codes[index] ?? "").trim() }));
}

function runBin(name: string, args: readonly string[], input = ""): string {
  const bin = path.join(ROOT, "node_modules", ".bin");
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}` };
  const isWindows = process.platform === "win32";
  return execFileSync(path.join(bin, name), args, { cwd: ROOT, env, input, encoding: "utf8", shell: isWindows });
}
