/**
 * The manifest (`package.json`) of a published package from the one in the checkout, by one rule for all: what points into `src`
 * points at what the compiler makes of it. It reads and writes no files.
 */

export interface Manifest {
  readonly name: string;
  readonly version: string;
  /** Only published packages have it; every manifest in the checkout is private, so that nobody publishes TypeScript by mistake. */
  readonly publishConfig?: { readonly access: string };
  /** What goes along beside what is compiled. */
  readonly files?: readonly string[];
  readonly exports?: Target;
  readonly imports?: Target;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** What `exports` and `imports` hold: a path, or conditions and subpaths that lead to paths; null closes a subpath. */
export type Target = string | null | { readonly [key: string]: Target };

/** Fields of the checkout that mean nothing to whoever installs. */
const NOT_PUBLISHED = ["private", "scripts", "devDependencies"];

const SOURCE = /^\.\/src\/(.+)\.ts$/;

export function publishedManifest(manifest: Manifest): Manifest {
  const kept = Object.entries(manifest).filter(([field]) => !NOT_PUBLISHED.includes(field));
  const emitted = entrySources(manifest).length > 0 ? ["dist"] : [];
  return {
    ...(Object.fromEntries(kept) as Manifest),
    files: [...(manifest.files ?? []), ...emitted],
    ...(manifest.exports === undefined ? {} : { exports: emittedTarget(manifest.exports) }),
    ...(manifest.imports === undefined ? {} : { imports: emittedTarget(manifest.imports) }),
  };
}

/** `./src/x.ts` becomes its types and its JavaScript, at any depth of conditions; all else stays. */
function emittedTarget(target: Target): Target {
  if (target === null) return null;
  if (typeof target === "string") return emittedPath(target);
  return Object.fromEntries(Object.entries(target).map(([key, each]) => [key, emittedTarget(each)]));
}

function emittedPath(path: string): Target {
  const [, name] = SOURCE.exec(path) ?? [];
  // TypeScript takes the first condition that fits, so `types` comes first.
  return name === undefined ? path : { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` };
}

/** The sources at which a package is entered, relative to it: all that it exports and what its programs start. */
export function entrySources(manifest: Manifest): string[] {
  const targets = [manifest.exports, manifest.imports].flatMap((each) => (each === undefined ? [] : pathsOf(each)));
  return [...new Set(targets.filter((path) => SOURCE.test(path)))];
}

/** The names behind patterns of `exports`, `./*` to `./gen/*.js`, for those of `files` (`./gen/a/b.js`) that have JavaScript. */
export function patternNames({ exports }: Manifest, files: readonly string[]): string[] {
  if (typeof exports !== "object" || exports === null) return [];
  return Object.entries(exports).flatMap(([name, target]) => {
    const pattern = pathsOf(target).find((path) => path.includes("*") && path.endsWith(".js"));
    if (!name.includes("*") || pattern === undefined) return [];
    const [start = "", end = ""] = pattern.split("*");
    const fitting = files.filter((file) => file.startsWith(start) && file.endsWith(end));
    return fitting.map((file) => name.replace("*", file.slice(start.length, -end.length)));
  });
}

function pathsOf(target: Target): string[] {
  if (target === null) return [];
  return typeof target === "string" ? [target] : Object.values(target).flatMap(pathsOf);
}
