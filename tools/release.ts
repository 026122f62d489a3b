// `npm run release -- VERSION`: one version for all packages, its heading in the changelog, commit, tag and tarballs; publishing is
// left to a person. `-- --dry-run [VERSION]` changes nothing: it prints what would be done and what stands in the way, and ends
// non-zero when something does.
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { readManifest, readWorkspaces } from "./pack/workspaces.ts";
import { nextMinor, obstacles, type ReleaseFacts } from "./release/plan.ts";
import { publishCommands, type Release, releaseSteps } from "./release/steps.ts";
import { ROOT, runTool } from "./run-tool.ts";

const USAGE = "Usage: npm run release -- --dry-run [VERSION]\n       npm run release -- VERSION\n";

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { "dry-run": { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const isDryRun = values["dry-run"];
  const [given, ...more] = positionals;
  if (more.length > 0 || (given === undefined && !isDryRun)) throw new UsageError();
  const { version: current } = readManifest(".");
  const version = given ?? nextMinor(current);
  const release = { version, day: new Date().toISOString().slice(0, 10), workspaces: readWorkspaces() };
  const found = obstacles(version, await releaseFacts(current));
  if (isDryRun) describe(release, found, current);
  else await carryOut(release, found);
}

function describe(release: Release, found: readonly string[], current: string): void {
  const lines = [
    `A release of ${release.version} (now ${current}) would:`,
    ...releaseSteps(release).map(({ says }, index) => `  ${index + 1}. ${says}`),
    "and leave these to you:",
    ...publishCommands(release).map((command) => `  ${command}`),
    ...(found.length === 0 ? [] : ["It would be refused now:", ...found.map((each) => `  ${each}`)]),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (found.length > 0) process.exitCode = 1;
}

async function carryOut(release: Release, found: readonly string[]): Promise<void> {
  if (found.length > 0)
    throw new Error(`no release of ${release.version}:\n${found.map((each) => `  ${each}`).join("\n")}`);
  for (const { says, run } of releaseSteps(release)) {
    process.stdout.write(`${says}\n`);
    await run();
  }
  process.stdout.write(
    `Done. Publish it:\n${publishCommands(release)
      .map((each) => `  ${each}\n`)
      .join("")}`,
  );
}

async function releaseFacts(current: string): Promise<ReleaseFacts> {
  const changelog = readFileSync(path.join(ROOT, "CHANGELOG.md"), "utf8");
  const [branch, status, tags] = await Promise.all([
    runTool("git", ["rev-parse", "--abbrev-ref", "HEAD"]),
    runTool("git", ["status", "--porcelain"]),
    runTool("git", ["tag", "--list"]),
  ]);
  if (!branch.isPassed || !status.isPassed || !tags.isPassed) return { current, changelog, git: undefined };
  const changedFiles = linesOf(status.output).map((line) => line.slice(3));
  return { current, changelog, git: { branch: branch.output.trim(), changedFiles, tags: linesOf(tags.output) } };
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

class UsageError extends Error {}

try {
  await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof Error && "code" in error);
  process.stderr.write(isUsage ? USAGE : `${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
