// JavaScript, types and source maps of all published packages: what can be reached from their entries, so neither tests nor test
// support.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ROOT, runTool } from "../run-tool.ts";
import { entrySources } from "./manifest.ts";
import type { Workspace } from "./workspaces.ts";

/** Writes to `outFolder`, laid out as the repository is. Throws with the compiler's words. */
export async function emit(workspaces: readonly Workspace[], outFolder: string): Promise<void> {
  const sources = await reachableSources(workspaces, outFolder);
  await compile(outFolder, sources, []);
  const left = sources.filter((source) => !existsSync(path.join(outFolder, source.replace(/\.ts$/, ".js"))));
  if (left.length > 0) throw new Error(`the compiler emitted nothing for ${left.join(", ")}`);
}

/**
 * Every source of the packages that their entries lead to, relative to the root. The compiler gets them all by name: what it finds
 * through node_modules alone, as one workspace finds the other, it takes for a foreign library, which it does not emit.
 */
async function reachableSources(workspaces: readonly Workspace[], outFolder: string): Promise<string[]> {
  const output = await compile(outFolder, workspaces.flatMap(entriesOf), ["--listFilesOnly"]);
  const files = output.split("\n").map((file) => path.relative(ROOT, file.trim()));
  return files.filter((file) => workspaces.some(({ folder }) => file.startsWith(path.join(folder, "src", path.sep))));
}

function entriesOf({ folder, manifest }: Workspace): string[] {
  return entrySources(manifest).map((source) => path.join(folder, source));
}

async function compile(outFolder: string, sources: readonly string[], flags: readonly string[]): Promise<string> {
  const config = path.join(outFolder, "tsconfig.json");
  writeFileSync(config, JSON.stringify(compilerConfig(sources, outFolder)));
  const { isPassed, output } = await runTool("tsc", ["--project", config, "--pretty", "false", ...flags]);
  if (!isPassed) throw new Error(`the compiler refuses the packages:\n${output}`);
  return output;
}

function compilerConfig(sources: readonly string[], outFolder: string): object {
  return {
    extends: path.join(ROOT, "tsconfig.base.json"),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      sourceMap: true,
      inlineSources: true,
      rewriteRelativeImportExtensions: true,
      rootDir: ROOT,
      outDir: outFolder,
      typeRoots: [path.join(ROOT, "node_modules", "@types")],
    },
    files: ["tools/headers-init.d.ts", ...sources].map((source) => path.join(ROOT, source)),
  };
}

/** Mends an emitted file in its place in the package, `dist/x.js.map` or `dist/x.d.ts`. */
export function mendEmitted(file: string): void {
  if (file.endsWith(".js.map")) rewrite(file, (text) => mapWithoutPaths(text, file));
  if (file.endsWith(".d.ts")) rewrite(file, declarationsWithJs);
}

/** A map has the source itself in it and names it as the file beside it, not by the folder in which it was compiled. */
export function mapWithoutPaths(text: string, file: string): string {
  const map = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify({ ...map, sources: [path.basename(file).replace(/\.js\.map$/, ".ts")] });
}

/**
 * `./x.ts` of an import becomes `./x.js`. The compiler rewrites imports in JavaScript alone
 * (https://github.com/microsoft/TypeScript/issues/61037); it reads its own declarations so, other tools look for a file `x.ts`.
 */
export function declarationsWithJs(text: string): string {
  return text.replace(/((?:from|import) ?\(?"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"');
}

function rewrite(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, "utf8")));
}
