/** What the two entries of the package may reach, by walking their imports. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as browser from "./browser.ts";
import * as node from "./index.ts";

const SOURCE = dirname(fileURLToPath(import.meta.url));
const MANIFEST = JSON.parse(readFileSync(resolve(SOURCE, "../package.json"), "utf8")) as {
  readonly exports: { readonly ".": Readonly<Record<string, string>> };
  readonly dependencies: Readonly<Record<string, string>>;
};
/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`; what is only a type is no import at run time. */
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

function importsOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(IMPORT)].map(([, from, dynamic]) => from ?? dynamic ?? "");
}

/** Every module of this package that `entry` reaches, and the names of all others. */
function reached(entry: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const waiting = [resolve(SOURCE, entry)];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const name of importsOf(file)) {
      if (name.startsWith(".")) waiting.push(resolve(dirname(file), name));
      else packages.add(name);
    }
  }
  return { files, packages };
}

/** The same through other packages, by the ES modules that they bring; gives the modules of Node among them. */
function nodeModulesOf(packages: Iterable<string>): string[] {
  const require = createRequire(import.meta.url);
  const seen = new Set<string>();
  const found: string[] = [];
  const visit = (name: string, from: string): void => {
    if (name.startsWith("node:")) {
      found.push(`${name} in ${from}`);
      return;
    }
    const file = name.startsWith(".") ? resolve(dirname(from), name) : fileURLToPath(import.meta.resolve(name));
    if (seen.has(file) || !existsSync(file)) return;
    seen.add(file);
    for (const each of importsOf(file)) visit(each, file);
  };
  for (const name of packages) visit(name, require.resolve("@connectrpc/connect"));
  expect(seen.size).toBeGreaterThan(10);
  return found;
}

describe("the entry for everything but Node", () => {
  const { files, packages } = reached("browser.ts");

  it("reaches the client, and no module of Node, in this package or another", () => {
    expect([...files].some((file) => file.endsWith("answer-stream.ts"))).toBe(true);
    expect(nodeModulesOf(packages)).toEqual([]);
  });

  it("would notice a module of Node", () => {
    expect(nodeModulesOf(["@connectrpc/connect-node", "@connectrpc/connect"]).length).toBeGreaterThan(0);
  });

  it("reaches no package beside the contracts and connect", () => {
    const names = [...packages].map((name) => name.split("/").slice(0, 2).join("/"));
    expect([...new Set(names)].sort()).toEqual([
      "@bufbuild/protobuf",
      "@connectrpc/connect",
      "@connectrpc/connect-web",
      "@drover/proto",
    ]);
  });
});

describe("both entries", () => {
  it.each(["index.ts", "browser.ts"])("reach neither platform nor routing: %s", (entry) => {
    const { packages } = reached(entry);
    expect([...packages].filter((name) => /^@drover\/(?!proto\/)/.test(name))).toEqual([]);
  });

  it("have the same names, and Node a few more", () => {
    expect(Object.keys(node)).toEqual(expect.arrayContaining(Object.keys(browser)));
    expect(Object.keys(browser)).toContain("createDroverClient");
    const typesOf = (entry: string): string[] =>
      [...readFileSync(resolve(SOURCE, entry), "utf8").matchAll(/^export (?:type )?\{[^}]*\} from [^\n]*/gm)].map(
        ([line]) => line,
      );
    expect(typesOf("index.ts")).toEqual(expect.arrayContaining(typesOf("browser.ts")));
    expect(typesOf("browser.ts").length).toBeGreaterThan(10);
  });

  it("are chosen so that Bun and Deno, which know the condition `node` too, get fetch", () => {
    const conditions = Object.keys(MANIFEST.exports["."]);
    for (const name of ["browser", "bun", "deno"]) {
      expect(conditions.indexOf(name)).toBeLessThan(conditions.indexOf("node"));
      expect(MANIFEST.exports["."][name]).toBe(MANIFEST.exports["."]["default"]);
    }
  });
});
