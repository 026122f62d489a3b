/** What a release changes and what stands in its way. It reads and writes no files and asks nobody. */
import type { Manifest } from "../pack/manifest.ts";

/** What is so before a release. */
export interface ReleaseFacts {
  readonly current: string;
  readonly changelog: string;
  /** Undefined where this is no checkout of git. */
  readonly git:
    | { readonly branch: string; readonly changedFiles: readonly string[]; readonly tags: readonly string[] }
    | undefined;
}

const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
const UNRELEASED = "## Unreleased\n";

/** For a dry run that names none: the next minor version. */
export function nextMinor(current: string): string {
  const [major = 0, minor = 0] = current.split(".").map(Number);
  return `${major}.${minor + 1}.0`;
}

export function tagOf(version: string): string {
  return `v${version}`;
}

/** Every reason against it, each with what to do. */
export function obstacles(version: string, { current, changelog, git }: ReleaseFacts): string[] {
  return [...versionObstacles(version, current), ...gitObstacles(version, git), ...changelogObstacles(changelog)];
}

function versionObstacles(version: string, current: string): string[] {
  // A pre-release would become what `npm install` takes by default.
  if (!VERSION.test(version)) return [`${version} is no version: give MAJOR.MINOR.PATCH, as ${nextMinor(current)}`];
  return isHigher(version, current) ? [] : [`${version} is not higher than ${current}, which the packages have`];
}

function isHigher(version: string, current: string): boolean {
  return version.localeCompare(current, "en", { numeric: true }) > 0;
}

function gitObstacles(version: string, git: ReleaseFacts["git"]): string[] {
  if (git === undefined) return ["this folder is no checkout of git: release from a clone"];
  const { branch, changedFiles, tags } = git;
  return [
    ...(branch === "main" ? [] : [`this is the branch ${branch}: release from main`]),
    ...(changedFiles.length === 0 ? [] : [`not committed: ${listed(changedFiles)}; commit or stash it`]),
    ...(tags.includes(tagOf(version)) ? [`the tag ${tagOf(version)} is there already`] : []),
  ];
}

function listed(files: readonly string[]): string {
  const rest = files.length - 5;
  return `${files.slice(0, 5).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function changelogObstacles(changelog: string): string[] {
  const [, after] = changelog.split(UNRELEASED);
  if (after === undefined) return ['CHANGELOG.md has no heading "## Unreleased"'];
  const section = after.split(/^## /m)[0] ?? "";
  return section.includes("\n- ") ? [] : ["CHANGELOG.md says nothing below Unreleased: write what users notice"];
}

/** What was unreleased, under the version and its day; a new empty heading above it. */
export function releasedChangelog(changelog: string, version: string, day: string): string {
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n## ${version} (${day})\n`);
}

/** The manifest, or its entry in the lock file, with the version, its own and that of the packages beside it. */
export function withVersion<M extends Partial<Manifest>>(manifest: M, version: string, own: ReadonlySet<string>): M {
  const dependencies = Object.entries(manifest.dependencies ?? {}).map(([name, wanted]) => [
    name,
    own.has(name) ? version : wanted,
  ]);
  return {
    ...manifest,
    version,
    ...(manifest.dependencies === undefined ? {} : { dependencies: Object.fromEntries(dependencies) }),
  };
}
