// What a release does, one after the other: each step says what it is, so that a dry run can print it, and runs.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { publishOrder, type Workspace } from "../pack/workspaces.ts";
import { ROOT, runTool } from "../run-tool.ts";
import { releasedChangelog, tagOf, withVersion } from "./plan.ts";

export interface Step {
  readonly says: string;
  /** Throws when it fails; what follows is not begun. */
  readonly run: () => Promise<void>;
}

export interface Release {
  readonly version: string;
  /** `2026-02-03`. */
  readonly day: string;
  readonly workspaces: readonly Workspace[];
}

/** The contracts that later changes are compared with; see tools/check.ts. */
const RELEASE_IMAGE = "proto/last-release.binpb";

export function releaseSteps(release: Release): Step[] {
  const { version, day, workspaces } = release;
  const tag = tagOf(version);
  return [
    tool("npm run check, and stop if anything is red", "npm", ["run", "check"]),
    {
      says: `write ${version} into package.json of the root and of ${workspaces.length} workspaces, and into package-lock.json`,
      run: async () => writeVersions(release),
    },
    {
      says: `CHANGELOG.md: what is unreleased goes under "${version} (${day})"`,
      run: async () => rewrite("CHANGELOG.md", (text) => releasedChangelog(text, version, day)),
    },
    tool(`keep the contracts of this release as ${RELEASE_IMAGE}`, "buf", ["build", "-o", RELEASE_IMAGE]),
    // Before the commit: a tarball that is not right must leave no tag behind.
    tool("npm run pack: the tarballs in dist/", "npm", ["run", "pack"]),
    tool("stage all of it", "git", ["add", "--all"]),
    tool(`commit "release: ${version}"`, "git", ["commit", "--quiet", "--message", `release: ${version}`]),
    tool(`tag the commit ${tag}`, "git", ["tag", "--annotate", tag, "--message", `Drover ${version}`]),
  ];
}

/** For a person, who has to prove to npm who they are: nothing here publishes. */
export function publishCommands({ version, workspaces }: Release): string[] {
  const tarballs = publishOrder(workspaces).map(({ manifest }) => manifest.name.replace("@", "").replace("/", "-"));
  return ["git push --follow-tags origin main", ...tarballs.map((name) => `npm publish dist/${name}-${version}.tgz`)];
}

function tool(says: string, name: string, args: readonly string[]): Step {
  return {
    says,
    run: async () => {
      const { isPassed, output } = await runTool(name, args);
      if (!isPassed) throw new Error(`${name} ${args.join(" ")} failed:\n${output.trimEnd()}`);
    },
  };
}

function writeVersions({ version, workspaces }: Release): void {
  const own = new Set(workspaces.map(({ manifest }) => manifest.name));
  const folders = [".", ...workspaces.map(({ folder }) => folder)];
  for (const folder of folders)
    rewriteJson(path.join(folder, "package.json"), (each) => withVersion(each, version, own));
  rewriteJson("package-lock.json", (lock) => {
    const packages = lock["packages"] as Record<string, object>;
    for (const folder of folders) {
      const place = folder === "." ? "" : folder;
      packages[place] = withVersion(packages[place] ?? {}, version, own);
    }
    return { ...lock, version, packages };
  });
}

function rewriteJson(file: string, change: (value: Record<string, unknown>) => object): void {
  rewrite(file, (text) => `${JSON.stringify(change(JSON.parse(text) as Record<string, unknown>), undefined, 2)}\n`);
}

function rewrite(file: string, change: (text: string) => string): void {
  const place = path.join(ROOT, file);
  writeFileSync(place, change(readFileSync(place, "utf8")));
}
