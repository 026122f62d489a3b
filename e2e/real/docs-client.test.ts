/** Every block of docs/client.md is right in its types, runs, and prints what the page shows. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readMarkdown } from "../../tools/docs/markdown.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { type InstalledFolder, installedFolder } from "../src/installed-folder.ts";
import { differsFromShown } from "../src/shown-output.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const PAGE = readFileSync(join(CHECKOUT, "docs", "client.md"), "utf8");
const run = promisify(execFile);

interface Example {
  readonly code: string;
  readonly line: number;
  /** What the page shows below it; undefined: nothing. */
  readonly shown: string | undefined;
}

function examples(): Example[] {
  const { fences } = readMarkdown(PAGE);
  return fences.flatMap(({ info, text, line }, index) => {
    const next = fences[index + 1];
    return info === "ts" ? [{ code: text, line, shown: next?.info === "text" ? next.text : undefined }] : [];
  });
}

/** Before the output of each example. */
const marker = (line: number): string => `=== line ${line} ===\n`;

/** All as one module: imports first, then the page's first block, whose names the others use, then each in a scope of its own. */
function moduleOf([first, ...others]: readonly Example[], addresses: Readonly<Record<string, string>>): string {
  const all = [first, ...others].map((example) => example?.code ?? "").join("");
  const imports = new Set(all.split("\n").filter((line) => line.startsWith("import ")));
  const bodyOf = (code: string): string => code.replace(/^import .*\n/gm, "");
  const scopes = others.map(
    ({ code, line }) => `process.stdout.write(${JSON.stringify(marker(line))});\n{\n${bodyOf(code)}}\n`,
  );
  const text = [...imports, bodyOf(first?.code ?? ""), ...scopes, "await client.close();\n"].join("\n");
  return text.replace(/localhost:\d+/g, (named) => addresses[named] ?? named);
}

function tsconfig(): string {
  return JSON.stringify({
    extends: join(CHECKOUT, "tsconfig.base.json"),
    compilerOptions: { noUnusedLocals: false },
    // The types of connect name what only a browser declares.
    files: ["page.ts", join(CHECKOUT, "tools", "headers-init.d.ts")],
  });
}

describe("the client by example", () => {
  const ollamas: SimOllama[] = [];
  const agents: DroverProcess[] = [];
  let router: DroverProcess;
  let folder: InstalledFolder;

  beforeAll(async () => {
    const models = ["llama3.2:1b", "nomic-embed-text", "llava-vision"];
    for (const name of ["gpu-1", "gpu-2"]) {
      const ollama = await createSimOllama({ models, slots: 2, speed: 500, loadSeconds: 0.1, answerTokens: 30 });
      ollamas.push(ollama);
      agents.push(await startDrover("agent", ["--ollama", ollama.url, "--name", name]));
    }
    router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join(",")]);
    folder = installedFolder();
    const [first, second] = agents;
    folder.write(
      "page.ts",
      moduleOf(examples(), {
        "localhost:50051": router.address,
        // Nobody listens there: the first router of the page is away.
        "localhost:50050": "127.0.0.1:1",
        "localhost:50052": first?.address ?? "",
        "localhost:50053": second?.address ?? "",
      }),
    );
    folder.write("tsconfig.json", tsconfig());
  });

  afterAll(async () => {
    folder?.remove();
    for (const program of [router, ...agents]) await program?.stop("SIGKILL");
    for (const ollama of ollamas) await ollama.close();
  });

  it("is right in its types", async () => {
    const tsc = join(CHECKOUT, "node_modules", ".bin", "tsc");
    const { stdout } = await run(process.execPath, [tsc, "-p", folder.path]).catch((error) => error);
    expect(stdout).toBe("");
  }, 60_000);

  it("prints what the page shows", async () => {
    const { stdout } = await run(process.execPath, [join(folder.path, "page.ts")], { timeout: 25_000 });
    const [, ...outputs] = stdout.split(/=== line \d+ ===\n/);
    const [, ...others] = examples();
    expect(outputs).toHaveLength(others.length);
    const wrong = others.flatMap(({ shown, line }, index) => {
      const differs = shown === undefined ? undefined : differsFromShown(outputs[index] ?? "", shown);
      return differs === undefined ? [] : [`line ${line} prints:\n${differs}`];
    });
    expect(wrong).toEqual([]);
  });
});
