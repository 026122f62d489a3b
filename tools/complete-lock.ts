// Completes package-lock.json with the platform packages of biome and buf that npm leaves out when its registry does not
// list them; without them `npm ci` refuses the lock on every machine. `npm run lock` writes, `-- --check` only reports.
// Knows lock files only: it asks no registry.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** One entry of `packages` in a lock file (version 3), as far as this tool looks at it. */
export interface LockPackage {
  readonly version?: string;
  readonly cpu?: readonly string[];
  readonly os?: readonly string[];
  readonly libc?: readonly string[];
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** A lock file of npm, version 3. */
export interface LockFile {
  readonly packages: Readonly<Record<string, LockPackage>>;
}

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const PROCESSORS: Readonly<Record<string, string>> = { arm64: "arm64", aarch64: "arm64", x64: "x64", armv7: "arm" };

/**
 * The entries that a lock lacks, keyed by their place (`node_modules/NAME`). Only packages whose name tells system and
 * processor can be completed; another missing name throws, because a guess would install it everywhere.
 */
export function missingEntries(lock: LockFile): Record<string, LockPackage> {
  const missing: Record<string, LockPackage> = {};
  for (const [place, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const isLocked = `node_modules/${name}` in lock.packages || `${place}/node_modules/${name}` in lock.packages;
      if (!isLocked) missing[`node_modules/${name}`] = platformEntry(name, version, entry.dev === true);
    }
  }
  return missing;
}

/** The lock with `missingEntries` in it, sorted as npm sorts. */
export function completeLock(lock: LockFile): LockFile {
  const all = { ...lock.packages, ...missingEntries(lock) };
  const byPlace = ([a]: readonly [string, LockPackage], [b]: readonly [string, LockPackage]): number =>
    a.localeCompare(b, "en");
  return { ...lock, packages: Object.fromEntries(Object.entries(all).sort(byPlace)) };
}

function platformEntry(name: string, version: string, isDev: boolean): LockPackage {
  const words = name.split("/").at(-1)?.split("-") ?? [];
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.map((word) => PROCESSORS[word]).find((known) => known !== undefined);
  if (os === undefined || cpu === undefined || !/^\d/.test(version)) {
    throw new Error(`package-lock.json lacks ${name}@${version}, and its name does not tell a system and a processor.`);
  }
  const libc = words.at(-1) === "musl" ? { libc: ["musl"] } : {};
  return { version, cpu: [cpu], ...(isDev ? { dev: true } : {}), ...libc, optional: true, os: [os] };
}

function main(isCheckOnly: boolean): void {
  const file = new URL("../package-lock.json", import.meta.url);
  const lock = JSON.parse(readFileSync(file, "utf8")) as LockFile;
  const names = Object.keys(missingEntries(lock));
  if (names.length === 0) return;
  if (isCheckOnly) {
    process.stderr.write(`package-lock.json lacks ${names.join(", ")}. Run npm run lock.\n`);
    process.exitCode = 1;
    return;
  }
  writeFileSync(file, `${JSON.stringify(completeLock(lock), undefined, 2)}\n`);
  process.stdout.write(`added ${names.length} entries: ${names.join(", ")}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main(process.argv.includes("--check"));
