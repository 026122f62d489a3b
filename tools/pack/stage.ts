// A folder for each published package, as `npm pack` shall find it: the manifest by the rule of manifest.ts, what its `files` name
// in the checkout, what the compiler emitted, licence and README.
import { cpSync, existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "../run-tool.ts";
import { emit, mendEmitted } from "./emit.ts";
import { publishedManifest } from "./manifest.ts";
import type { Workspace } from "./workspaces.ts";

/** Below `stageFolder`, which is empty; returns the folders in the order of the workspaces. */
export async function stagePackages(workspaces: readonly Workspace[], stageFolder: string): Promise<string[]> {
  const emitted = path.join(stageFolder, "emitted");
  mkdirSync(emitted);
  await emit(workspaces, emitted);
  return workspaces.map((workspace) =>
    stagePackage(workspace, path.join(emitted, workspace.folder, "src"), stageFolder),
  );
}

function stagePackage({ folder, manifest }: Workspace, emitted: string, stageFolder: string): string {
  const stage = path.join(stageFolder, "packages", folder);
  mkdirSync(stage, { recursive: true });
  writeFileSync(path.join(stage, "package.json"), `${JSON.stringify(publishedManifest(manifest), undefined, 2)}\n`);
  cpSync(path.join(ROOT, "LICENSE"), path.join(stage, "LICENSE"));
  for (const name of ["README.md", ...(manifest.files ?? [])]) {
    const source = path.join(ROOT, folder, name);
    if (existsSync(source)) cpSync(source, path.join(stage, name), { recursive: true });
  }
  if (existsSync(emitted)) takeEmitted(emitted, path.join(stage, "dist"));
  return stage;
}

function takeEmitted(emitted: string, dist: string): void {
  cpSync(emitted, dist, { recursive: true });
  for (const file of globSync("**/*.{js.map,d.ts}", { cwd: dist })) mendEmitted(path.join(dist, file));
}
