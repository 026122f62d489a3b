import { expect, it } from "vitest";
import { completeLock, missingEntries } from "./complete-lock.ts";

const lock = {
  packages: {
    "": {},
    "node_modules/a": {
      version: "1.0.0",
      dev: true,
      optionalDependencies: {
        "@a/cli-darwin-arm64": "1.0.0",
        "@a/cli-linux-x64-musl": "1.0.0",
        "a-linux-x64": "1.0.0",
      },
    },
    "node_modules/a-linux-x64": { version: "1.0.0" },
  },
};

it("adds the platform packages that npm left out, with system, processor and libc", () => {
  expect(missingEntries(lock)).toEqual({
    "node_modules/@a/cli-darwin-arm64": { version: "1.0.0", cpu: ["arm64"], dev: true, optional: true, os: ["darwin"] },
    "node_modules/@a/cli-linux-x64-musl": {
      version: "1.0.0",
      cpu: ["x64"],
      dev: true,
      libc: ["musl"],
      optional: true,
      os: ["linux"],
    },
  });
});

it("sorts as npm does and finds nothing more to add", () => {
  const completed = completeLock(lock);
  expect(Object.keys(completed.packages)).toEqual([
    "",
    "node_modules/@a/cli-darwin-arm64",
    "node_modules/@a/cli-linux-x64-musl",
    "node_modules/a",
    "node_modules/a-linux-x64",
  ]);
  expect(missingEntries(completed)).toEqual({});
});

it("refuses to guess the platform of a name that does not tell it", () => {
  const odd = { packages: { "node_modules/a": { optionalDependencies: { fsevents: "2.3.3" } } } };
  expect(() => missingEntries(odd)).toThrow("lacks fsevents@2.3.3");
});
