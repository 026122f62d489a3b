// Tells whether proto/gen and docs/reference are what `npm run generate` would write now. Compares with a temporary folder, so it
// needs no git and changes nothing in the tree.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ROOT, runTool, type ToolResult } from "./run-tool.ts";

/** Generates anew and compares. The output names every file that is missing, left over or different. */
export async function checkGenerated(): Promise<ToolResult> {
  const fresh = mkdtempSync(path.join(tmpdir(), "drover-generated-"));
  const reference = path.join(fresh, "docs", "reference");
  try {
    const generated = await runTool("buf", ["generate", "--output", fresh]);
    if (!generated.isPassed) return generated;
    const written = await runTool("node", ["tools/docs/generate.ts", "--output", reference]);
    if (!written.isPassed) return written;
    const folders = [path.join("proto", "gen"), path.join("docs", "reference")];
    const differences = folders.flatMap((folder) =>
      compareFolders(path.join(ROOT, folder), path.join(fresh, folder)).map((difference) =>
        path.join(folder, difference),
      ),
    );
    if (differences.length === 0) return { isPassed: true, output: "" };
    return { isPassed: false, output: `${differences.join("\n")}\nRun npm run generate and commit what it writes.\n` };
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** One sentence per file in which `actual` is not `expected`; empty when they hold the same. */
export function compareFolders(actual: string, expected: string): string[] {
  const [have, want] = [listFiles(actual), listFiles(expected)];
  return [
    ...want.filter((file) => !have.includes(file)).map((file) => `${file} is missing.`),
    ...have.filter((file) => !want.includes(file)).map((file) => `${file} is left over.`),
    ...want.filter((file) => have.includes(file) && !isSame(file, actual, expected)).map((file) => `${file} is stale.`),
  ];
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

function isSame(file: string, one: string, other: string): boolean {
  return readFileSync(path.join(one, file)).equals(readFileSync(path.join(other, file)));
}
