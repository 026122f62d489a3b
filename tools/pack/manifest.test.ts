import { expect, it } from "vitest";
import { entrySources, patternNames, publishedManifest } from "./manifest.ts";

const router = {
  name: "@drover/router",
  version: "1.2.3",
  private: true,
  publishConfig: { access: "public" },
  engines: { node: ">=22.19" },
  scripts: { test: "vitest" },
  exports: { ".": "./src/index.ts", "./package.json": "./package.json" },
  imports: { "#main": "./src/main.ts" },
  bin: { "drover-router": "bin/drover-router.js" },
  files: ["bin"],
  dependencies: { "@drover/routing": "1.2.3" },
  devDependencies: { vitest: "5.1.1" },
};

it("points at types and JavaScript where the checkout points at TypeScript, and leaves the rest", () => {
  expect(publishedManifest(router)).toEqual({
    name: "@drover/router",
    version: "1.2.3",
    publishConfig: { access: "public" },
    engines: { node: ">=22.19" },
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    imports: { "#main": { types: "./dist/main.d.ts", default: "./dist/main.js" } },
    bin: { "drover-router": "bin/drover-router.js" },
    files: ["bin", "dist"],
    dependencies: { "@drover/routing": "1.2.3" },
  });
});

it("carries conditions over at any depth, in their order, with types first", () => {
  const exports = {
    ".": { node: { import: "./src/index.ts" }, default: "./src/browser.ts" },
    "./direct": { node: "./src/direct/index.ts", default: null },
  };
  const published = publishedManifest({ name: "@drover/client", version: "1.2.3", exports });
  expect(published.files).toEqual(["dist"]);
  expect(JSON.stringify(published.exports)).toBe(
    JSON.stringify({
      ".": {
        node: { import: { types: "./dist/index.d.ts", default: "./dist/index.js" } },
        default: { types: "./dist/browser.d.ts", default: "./dist/browser.js" },
      },
      "./direct": { node: { types: "./dist/direct/index.d.ts", default: "./dist/direct/index.js" }, default: null },
    }),
  );
});

it("knows the sources at which a package is entered, each once", () => {
  expect(entrySources(router)).toEqual(["./src/index.ts", "./src/main.ts"]);
  const exports = { ".": { bun: "./src/a.ts", default: "./src/a.ts" }, "./*": { default: "./gen/*.js" } };
  expect(entrySources({ name: "a", version: "1.0.0", exports })).toEqual(["./src/a.ts"]);
});

it("finds each name behind a pattern, where there is JavaScript", () => {
  const exports = { "./one": "./gen/one.js", "./*": { types: "./gen/*.d.ts", default: "./gen/*.js" } };
  const files = ["./gen/a/b_pb.js", "./gen/a/b_pb.d.ts", "./drover/a/b.proto", "./package.json"];
  expect(patternNames({ name: "a", version: "1.0.0", exports }, files)).toEqual(["./a/b_pb"]);
  expect(patternNames({ name: "a", version: "1.0.0" }, files)).toEqual([]);
});
