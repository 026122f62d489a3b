/** The reference of @drover/client: what its entries export, from the declarations that the compiler emits. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ROOT } from "../run-tool.ts";
import { type Declaration, declarationsOf, importsOf, type NamesFrom, reExportsOf } from "./declarations.ts";
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
  /** Its part of the page: the name of the file that declares it. */
  readonly part: string;
  readonly file: string;
}

/** From which entries re-export. */
const PACKAGES = ["services/routing/src/index.ts"];

/** Two entries may have different things of one name. */
const keyOf = ({ file, name }: Exported): string => `${file} ${name}`;

const BETWEEN = "// --- the next one";

/** The pages of the entries in this order; what an earlier one has is named by a later one, not repeated. */
export function clientPages(entries: readonly Entry[]): readonly Page[] {
  const folder = mkdtempSync(path.join(tmpdir(), "drover-declarations-"));
  try {
    emitDeclarations(entries, folder);
    const told = new Map<string, string>();
    return entries.map((entry) => {
      const all = exportsOf(path.join(folder, entry.source.replace(/\.ts$/, ".d.ts")), folder);
      const page = entryPage(entry, all, told);
      for (const each of all) if (!told.has(keyOf(each))) told.set(keyOf(each), entry.page);
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
    // The compiler emits nothing for what an import finds in node_modules, be it a link to a workspace.
    files: [...entries.map(({ source }) => source), ...PACKAGES].map((file) => path.join(ROOT, file)),
  };
  const file = path.join(folder, "tsconfig.json");
  writeFileSync(file, JSON.stringify(config));
  runBin("tsc", ["--project", file]);
}

/** `folder` holds all declarations, laid out as the repository. */
function exportsOf(entryFile: string, folder: string): readonly Exported[] {
  const own = moduleOf(entryFile).declared.map((each) => ({ ...each, part: "" }));
  const others = reExportsOf(readFileSync(entryFile, "utf8")).flatMap(({ names, from }) => {
    const file = declarationFile(from, entryFile, folder);
    return names.map((name) => findDeclared(name, file, folder));
  });
  return [...own, ...withThoseTheyName(others, folder)];
}

/** Follows re-exports to where a name is declared. */
function findDeclared(name: string, file: string, folder: string): Exported {
  const declared = moduleOf(file).declared.find((each) => each.name === name);
  if (declared !== undefined) return declared;
  const next = reExportsOf(readFileSync(file, "utf8")).find(({ names }) => names.includes(name));
  if (next === undefined) throw new Error(`${file} does not declare ${name}`);
  return findDeclared(name, declarationFile(next.from, file, folder), folder);
}

/** Of `./x.ts`, or of a package of ours. */
function declarationFile(from: string, importer: string, folder: string): string {
  const service = /^@drover\/([a-z-]+)$/.exec(from)?.[1];
  if (service !== undefined) return path.join(folder, "services", service, "src", "index.d.ts");
  return path.join(path.dirname(importer), from.replace(/\.ts$/, ".d.ts"));
}

function moduleOf(file: string): { readonly declared: readonly Exported[]; readonly imports: readonly NamesFrom[] } {
  const text = readFileSync(file, "utf8");
  const part = path.basename(file, ".d.ts");
  return { declared: declarationsOf(text).map((each) => ({ ...each, part, file })), imports: importsOf(text) };
}

/** What is not exported, but has a part of what is: `ChatResult extends AnswerResult`. Behind those of its file. */
function withThoseTheyName(exported: readonly Exported[], folder: string): readonly Exported[] {
  const told = new Map(exported.map((each) => [keyOf(each), each]));
  for (const { file, code } of told.values()) {
    for (const other of namedIn(code, file, folder)) {
      if (!told.has(keyOf(other))) told.set(keyOf(other), other);
    }
  }
  const all = [...told.values()];
  const files = [...new Set(all.map(({ file }) => file))];
  return files.flatMap((file) => all.filter((each) => each.file === file));
}

/** Types, classes and constants of the same module, or that it imports from one beside it, which stand in a declaration. */
function namedIn(code: string, file: string, folder: string): readonly Exported[] {
  const words = new Set(code.match(/\w+/g));
  const { declared, imports } = moduleOf(file);
  const imported = imports
    .filter(({ from }) => from.startsWith("."))
    .flatMap(({ names, from }) => names.map((name) => ({ name, from })))
    .filter(({ name }) => words.has(name))
    .map(({ name, from }) => findDeclared(name, declarationFile(from, file, folder), folder));
  const beside = declared.filter(({ name }) => words.has(name));
  return [...beside, ...imported].filter((each) => /^(?:type|interface|const|class) /.test(each.code));
}

function entryPage({ name, page, about }: Entry, all: readonly Exported[], told: ReadonlyMap<string, string>): Page {
  const fresh = formatted(all.filter((each) => !told.has(keyOf(each))));
  const words = new Set(fresh.flatMap(({ code }) => code.match(/\w+/g) ?? []));
  const known = all.filter((each) => told.has(keyOf(each)) && words.has(each.name));
  const links = known.map((each) => `[${each.name}](${told.get(keyOf(each))}#${anchorOf(each.name)})`);
  const more = links.length === 0 ? "" : `\nTold elsewhere: ${links.join(", ")}.\n`;
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
