/** A folder of a user: empty but for a package.json and the checkout's packages, as if they were installed there. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

export interface InstalledFolder {
  readonly path: string;
  write(name: string, text: string): void;
  remove(): void;
}

export function installedFolder(): InstalledFolder {
  const path = mkdtempSync(join(tmpdir(), "drover-user-"));
  symlinkSync(join(CHECKOUT, "node_modules"), join(path, "node_modules"));
  writeFileSync(join(path, "package.json"), '{ "type": "module" }\n');
  return {
    path,
    write: (name, text) => writeFileSync(join(path, name), text),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
