import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { compareFolders } from "./generated-fresh.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), "drover-test-"));
  for (const side of ["actual", "expected"]) {
    mkdirSync(path.join(root, side, "v1"), { recursive: true });
    writeFileSync(path.join(root, side, "v1", "same.js"), "same");
  }
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

it("says nothing about equal folders", () => {
  expect(compareFolders(path.join(root, "actual"), path.join(root, "expected"))).toEqual([]);
});

it("names what is missing, left over and stale", () => {
  writeFileSync(path.join(root, "actual", "old.js"), "");
  writeFileSync(path.join(root, "expected", "new.js"), "");
  writeFileSync(path.join(root, "actual", "v1", "same.js"), "edited by hand");
  expect(compareFolders(path.join(root, "actual"), path.join(root, "expected"))).toEqual([
    "new.js is missing.",
    "old.js is left over.",
    `${path.join("v1", "same.js")} is stale.`,
  ]);
});
