import { describe, expect, it } from "vitest";
import { nextMinor, obstacles, releasedChangelog, withVersion } from "./plan.ts";

const CHANGELOG = "# Changelog\n\n## Unreleased\n\n- A thing.\n\n## 0.1.0 (2026-01-01)\n\n- The first.\n";
const READY = { current: "0.1.0", changelog: CHANGELOG, git: { branch: "main", changedFiles: [], tags: ["v0.1.0"] } };

describe("a release", () => {
  it("has nothing in its way on a clean main with something to tell", () => {
    expect(obstacles("0.2.0", READY)).toEqual([]);
  });

  it("needs a version that is higher, and no pre-release", () => {
    for (const version of ["0.1.0", "0.0.9"]) {
      expect(obstacles(version, { ...READY, git: { ...READY.git, tags: [] } })).toEqual([
        `${version} is not higher than 0.1.0, which the packages have`,
      ]);
    }
    expect(obstacles("0.10.0", { ...READY, current: "0.9.0" })).toEqual([]);
    for (const version of ["1", "v1.0.0", "1.0.0-rc.1", "01.0.0", "patch"]) {
      expect(obstacles(version, READY)).toEqual([`${version} is no version: give MAJOR.MINOR.PATCH, as 0.2.0`]);
    }
  });

  it("is refused off main, with changed files, with a tag that exists, and without git, all at once", () => {
    const changedFiles = ["a", "b", "c", "d", "e", "f", "g"];
    expect(obstacles("0.2.0", { ...READY, git: { branch: "fix", changedFiles, tags: ["v0.2.0"] } })).toEqual([
      "this is the branch fix: release from main",
      "not committed: a, b, c, d, e and 2 more; commit or stash it",
      "the tag v0.2.0 is there already",
    ]);
    expect(obstacles("0.2.0", { ...READY, git: undefined })).toEqual([
      "this folder is no checkout of git: release from a clone",
    ]);
  });

  it("is refused with nothing to tell", () => {
    const empty = CHANGELOG.replace("- A thing.\n\n", "");
    expect(obstacles("0.2.0", { ...READY, changelog: empty })).toEqual([
      "CHANGELOG.md says nothing below Unreleased: write what users notice",
    ]);
    expect(obstacles("0.2.0", { ...READY, changelog: "# Changelog\n" })).toEqual([
      'CHANGELOG.md has no heading "## Unreleased"',
    ]);
  });
});

it("proposes the next minor version", () => {
  expect(nextMinor("0.0.0")).toBe("0.1.0");
  expect(nextMinor("1.9.4")).toBe("1.10.0");
});

it("puts what was unreleased under the version and its day", () => {
  expect(releasedChangelog(CHANGELOG, "0.2.0", "2026-02-03")).toBe(
    "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-02-03)\n\n- A thing.\n\n## 0.1.0 (2026-01-01)\n\n- The first.\n",
  );
});

it("sets the version of a manifest and of the packages beside it, and of nothing else", () => {
  const manifest = {
    name: "a",
    version: "0.1.0",
    dependencies: { b: "0.1.0", undici: "8.12.4" },
    devDependencies: { vitest: "5.1.1" },
  };
  expect(withVersion(manifest, "0.2.0", new Set(["a", "b"]))).toEqual({
    name: "a",
    version: "0.2.0",
    dependencies: { b: "0.2.0", undici: "8.12.4" },
    devDependencies: { vitest: "5.1.1" },
  });
  expect(withVersion({ version: "0.1.0" }, "0.2.0", new Set())).toEqual({ version: "0.2.0" });
});
