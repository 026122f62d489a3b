// What publint and "are the types wrong" say against a tarball.
import { readFileSync } from "node:fs";
import { checkPackage, createPackageFromTarballData, type Package, type Problem } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { type Manifest, patternNames } from "./manifest.ts";

/**
 * All packages are ES modules alone, for resolvers that know `exports`: the resolution of Node 10, and `require` from a
 * CommonJS file, which gets an ES module as Node 22 itself loads it, are no complaint. The same as the profile `esm-only` of attw.
 */
const FOREIGN_RESOLUTIONS: readonly string[] = ["node10", "node16-cjs"];

/** One line for each complaint; empty when both are content. */
export async function tarballComplaints(file: string): Promise<string[]> {
  const tarball = readFileSync(file);
  return [...(await publintComplaints(tarball)), ...(await typesComplaints(tarball))];
}

async function publintComplaints(tarball: Buffer): Promise<string[]> {
  const bytes = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength) as ArrayBuffer;
  const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true });
  return messages.map((message) => `publint: ${formatMessage(message, pkg) ?? message.code}`);
}

async function typesComplaints(tarball: Buffer): Promise<string[]> {
  const pkg = createPackageFromTarballData(new Uint8Array(tarball));
  const result = await checkPackage(pkg, { includeEntrypoints: namesBehindPatterns(pkg) });
  if (result.types === false) return ["attw: it has no types"];
  return result.problems.filter(isOurs).map((problem) => `attw: ${JSON.stringify(problem)}`);
}

/** attw skips patterns such as `./*`, so it gets a name for each file behind them. */
function namesBehindPatterns(pkg: Package): string[] {
  const folder = `/node_modules/${pkg.packageName}/`;
  const manifest = JSON.parse(pkg.readFile(`${folder}package.json`)) as Manifest;
  return patternNames(
    manifest,
    pkg.listFiles(folder).map((file) => `./${file.slice(folder.length)}`),
  );
}

function isOurs(problem: Problem): boolean {
  return !("resolutionKind" in problem && FOREIGN_RESOLUTIONS.includes(problem.resolutionKind));
}
