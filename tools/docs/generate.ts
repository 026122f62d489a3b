/**
 * Writes docs/reference from the contracts, the client's declarations and the programs' flags: `npm run generate`. With `--output FOLDER` it writes there
 * instead, for who compares.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { agentConfig } from "../../services/agent/src/agent-config.ts";
import { startConfig } from "../../services/quickstart/src/config.ts";
import { routerConfig } from "../../services/router/src/config.ts";
import { simConfig } from "../../services/sim-ollama/src/sim-config.ts";
import { ROOT } from "../run-tool.ts";
import { clientPages, type Entry } from "./client-reference.ts";
import { flagsPage } from "./flags-reference.ts";
import { type Page, protoPages } from "./proto-reference.ts";

const CLIENT_ENTRIES: readonly Entry[] = [
  {
    name: "@drover/client",
    page: "client.md",
    source: "clients/typescript/src/index.ts",
    about: "The client for applications, over a router or one agent.",
  },
  {
    name: "@drover/client/direct",
    page: "client-direct.md",
    source: "clients/typescript/src/direct/index.ts",
    about: "The client without a router, in Node.",
  },
];

const IMAGE_BYTES_MAX = 64 * 1024 * 1024;

function buildImage(): Uint8Array {
  const buf = path.join(ROOT, "node_modules", ".bin", "buf");
  const isWindows = process.platform === "win32";
  return execFileSync(buf, ["build", "-o", "-"], { cwd: ROOT, maxBuffer: IMAGE_BYTES_MAX, shell: isWindows });
}

function indexPage(pages: readonly Page[]): string {
  const rows = pages.map(({ name, title, summary }) => `| [${title}](${name}) | ${summary} |\n`);
  const more = "| [Metrics](../metrics.md) | What router and agent tell Prometheus. |\n";
  return `# Reference\n\nWritten from the code by \`npm run generate\`.\n\n| page | what it has |\n|---|---|\n${rows.join("")}${more}`;
}

function main(folder: string): void {
  const programs = [routerConfig, agentConfig, simConfig, startConfig];
  const pages = [...clientPages(CLIENT_ENTRIES), ...protoPages(buildImage()), flagsPage(programs)];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, text } of pages) writeFileSync(path.join(folder, name), text);
  writeFileSync(path.join(folder, "README.md"), indexPage(pages));
}

const [flag, output] = process.argv.slice(2);
main(flag === "--output" && output !== undefined ? output : path.join(ROOT, "docs", "reference"));
