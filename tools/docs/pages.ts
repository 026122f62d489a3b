/** The Markdown pages of the repository, by their paths from its root. Reads the folder and not git, so that an exported copy works. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "../run-tool.ts";

const NOT_OURS = new Set(["node_modules", ".git", "dist"]);

export function pagePaths(folder = ROOT): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : pagePaths(file);
    return entry.name.endsWith(".md") ? [path.relative(ROOT, file).replaceAll("\\", "/")] : [];
  });
}

export function readPage(page: string): string {
  return readFileSync(path.join(ROOT, page), "utf8");
}
