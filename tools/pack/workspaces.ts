// The workspaces of the checkout as their manifests tell them: which are published, and in which order.
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "../run-tool.ts";
import type { Manifest } from "./manifest.ts";

export interface Workspace {
  /** Relative to the root of the repository: `services/router`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(ROOT, folder, "package.json"), "utf8")) as Manifest;
}

/** All workspaces that the root's manifest names, by folder. */
export function readWorkspaces(): Workspace[] {
  const patterns = readManifest(".")["workspaces"] as readonly string[];
  const manifests = globSync(
    patterns.map((pattern) => `${pattern}/package.json`),
    { cwd: ROOT },
  );
  return manifests
    .map((file) => path.dirname(file))
    .sort()
    .map((folder) => ({ folder, manifest: readManifest(folder) }));
}

/** Those that are published, each after what it depends on, so that none is ever out without its dependencies. */
export function publishOrder(workspaces: readonly Workspace[]): Workspace[] {
  const left = workspaces.filter(({ manifest }) => manifest.publishConfig !== undefined);
  const ordered: Workspace[] = [];
  while (left.length > 0) {
    const isWaiting = ({ manifest }: Workspace): boolean =>
      left.some((other) => manifest.dependencies?.[other.manifest.name] !== undefined);
    const next = left.findIndex((each) => !isWaiting(each));
    const [free] = next < 0 ? [] : left.splice(next, 1);
    if (free === undefined) throw new Error(`these packages depend on each other: ${left.map(nameOf).join(", ")}`);
    ordered.push(free);
  }
  return ordered;
}

/** What would leave somebody who installs the packages with a hole, or with two versions: one sentence each. */
export function workspaceProblems(workspaces: readonly Workspace[], version: string): string[] {
  const published = new Set(publishOrder(workspaces).map(nameOf));
  const own = new Set(workspaces.map(nameOf));
  return workspaces.flatMap(({ folder, manifest }) => {
    const inner = Object.entries(manifest.dependencies ?? {}).filter(([name]) => own.has(name));
    return [
      ...(manifest.version === version ? [] : [`${folder} has version ${manifest.version}, the root ${version}`]),
      ...(manifest["private"] === true ? [] : [`${folder} is not private: npm would publish its TypeScript`]),
      ...inner
        .filter(([, wanted]) => wanted !== version)
        .map(([name, wanted]) => `${folder} wants ${name} ${wanted}, the root has ${version}`),
      ...inner
        .filter(([name]) => published.has(manifest.name) && !published.has(name))
        .map(([name]) => `${folder} is published and needs ${name}, which is not`),
    ];
  });
}

function nameOf({ manifest }: Workspace): string {
  return manifest.name;
}
