// `npm run pack`: the tarballs of all published packages in `dist/`, or in the folder that `--to` names, ready for `npm install`
// and `npm publish`. Ends non-zero when a tarball is not as publint and attw want it.
import { globSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { tarballComplaints } from "./pack/lint-tarball.ts";
import { stagePackages } from "./pack/stage.ts";
import { publishOrder, readManifest, readWorkspaces, type Workspace, workspaceProblems } from "./pack/workspaces.ts";
import { ROOT, runTool } from "./run-tool.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { to: { type: "string", default: "dist" } } });
  const target = path.resolve(ROOT, values.to);
  const workspaces = readWorkspaces();
  const problems = workspaceProblems(workspaces, readManifest(".").version);
  if (problems.length > 0) throw new Error(`the workspaces do not fit together:\n${problems.join("\n")}`);
  const tarballs = await writeTarballs(publishOrder(workspaces), target);
  for (const tarball of tarballs) await report(tarball);
}

/** In the order in which they are published. */
async function writeTarballs(workspaces: readonly Workspace[], target: string): Promise<string[]> {
  const stageFolder = mkdtempSync(path.join(tmpdir(), "drover-pack-"));
  try {
    const stages = await stagePackages(workspaces, stageFolder);
    mkdirSync(target, { recursive: true });
    // A tarball of an earlier version would be installed with the new ones by `dist/*.tgz`.
    for (const old of globSync("drover-*.tgz", { cwd: target })) rmSync(path.join(target, old));
    const packed = await runTool("npm", ["pack", ...stages, "--pack-destination", target, "--ignore-scripts"]);
    if (!packed.isPassed) throw new Error(`npm pack failed:\n${packed.output}`);
    return workspaces.map((workspace) => path.join(target, tarballName(workspace)));
  } finally {
    rmSync(stageFolder, { recursive: true, force: true });
  }
}

/** As npm names it: `drover-router-1.2.3.tgz`. */
function tarballName({ manifest }: Workspace): string {
  return `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`;
}

async function report(tarball: string): Promise<void> {
  const kilobytes = Math.ceil(statSync(tarball).size / 1000);
  process.stdout.write(`${path.relative(ROOT, tarball)} (${kilobytes} kB)\n`);
  for (const complaint of await tarballComplaints(tarball)) {
    process.stdout.write(`  ${complaint}\n`);
    process.exitCode = 1;
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
