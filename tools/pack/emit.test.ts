import { expect, it } from "vitest";
import { declarationsWithJs, mapWithoutPaths } from "./emit.ts";

it("names JavaScript in the imports of declarations, and nowhere else", () => {
  const text = [
    'import { type A } from "./a.ts";',
    'export * from "../b/b.ts";',
    'export declare const c: import("./c.ts").C;',
    'import "./d.ts";',
    'import type { E } from "@drover/platform";',
    'export declare const f: "./f.ts";',
  ].join("\n");
  expect(declarationsWithJs(text)).toBe(
    [
      'import { type A } from "./a.js";',
      'export * from "../b/b.js";',
      'export declare const c: import("./c.js").C;',
      'import "./d.js";',
      'import type { E } from "@drover/platform";',
      'export declare const f: "./f.ts";',
    ].join("\n"),
  );
});

it("takes the folder of the build out of a source map and keeps the source in it", () => {
  const map = { version: 3, file: "x.js", sources: ["../../../build/services/x/src/x.ts"], sourcesContent: ["let x"] };
  expect(JSON.parse(mapWithoutPaths(JSON.stringify(map), "/tmp/stage/dist/x.js.map"))).toEqual({
    version: 3,
    file: "x.js",
    sources: ["x.ts"],
    sourcesContent: ["let x"],
  });
});
