/** The tarballs, installed into empty folders as strangers do it: what is in them, what runs from them, and what compiles against them. */
import { globSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Installed, installNodes, npmInstall, packInto, runIn, startPacked } from "../src/packed-drover.ts";

/** The oldest that `engines` lets in, and the newest there is. */
const NODES = ["22.19.0", "26.10.0"] as const;
const PACKAGES = ["agent", "client", "platform", "proto", "router", "routing", "sim-ollama"];
const PROGRAMS = ["drover-router", "drover-agent", "drover-sim-ollama"];
const TSC = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
const TYPES_OF_NODE = "@types/node@24.19.2";

interface Answer {
  readonly chunks: number;
  readonly text: string;
  readonly node: string;
}

/** Several programs start in one test, on a machine that may have other work. */
const STARTS_LIMIT_MS = 90_000;

const root = mkdtempSync(path.join(tmpdir(), "drover-packages-"));
const tarballFolder = path.join(root, "dist");

const apps = new Map<string, Installed>();
const appOf = (version: string): Installed => apps.get(version) ?? expect.fail(`nothing was installed for ${version}`);

beforeAll(async () => {
  const [nodeFolders] = await Promise.all([installNodes(NODES, path.join(root, "nodes")), packInto(tarballFolder)]);
  const install = async (version: string, index: number): Promise<void> => {
    const wanted = [...globSync(path.join(tarballFolder, "*.tgz")), TYPES_OF_NODE];
    apps.set(version, await npmInstall(path.join(root, `app-${version}`), nodeFolders[index] ?? "", wanted));
  };
  await Promise.all(NODES.map(install));
}, 300_000);
afterAll(() => rm(root, { recursive: true, force: true }), 120_000);

it("packs every published workspace with one version, as publint and attw want it", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect(readdirSync(tarballFolder).sort()).toEqual(PACKAGES.map((name) => `drover-${name}-${version}.tgz`));
});

describe.each(NODES)("installed into an empty folder under Node %s", (version) => {
  const app = (): Installed => appOf(version);

  it(
    "every program starts under that Node by its name",
    async () => {
      const asked = PROGRAMS.map((name) => runIn(app(), path.join("node_modules", ".bin", name), ["--version"]));
      for (const [index, { code, stdout, stderr }] of (await Promise.all(asked)).entries()) {
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).toMatch(new RegExp(`^${PROGRAMS[index]} \\d+\\.\\d+\\.\\d+ \\(Node ${version}\\)\\n$`));
      }
    },
    STARTS_LIMIT_MS,
  );

  it(
    "streams an answer from the simulator to the client, through agent and router, and without the router",
    async () => {
      const stop: (() => Promise<number | null>)[] = [];
      const start = async (name: string, flags: string[]): Promise<string> => {
        const program = await startPacked(app(), name, ["--listen", "127.0.0.1:0", ...flags]);
        stop.unshift(() => program.stop());
        return program.address;
      };
      const own = (name: string): string[] => ["--ops-listen", "127.0.0.1:0", "--state-dir", path.join(root, name)];
      try {
        const ollama = await start("drover-sim-ollama", ["--models", "llama3.2:1b", "--load-seconds", "0"]);
        const agent = await start("drover-agent", [...own(`agent-${version}`), "--name", "one", "--ollama", ollama]);
        const router = await start("drover-router", [...own(`router-${version}`), "--nodes", agent]);
        writeFileSync(path.join(app().folder, "app.js"), application(router, agent));
        const { stdout, stderr, code } = await runIn(app(), "node", ["app.js"]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const answers = stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Answer);
        expect(answers).toHaveLength(2);
        for (const { chunks, text, node } of answers) {
          expect(chunks).toBeGreaterThan(2);
          expect(text.length).toBeGreaterThan(20);
          expect(node).toBe("one");
        }
      } finally {
        for (const each of stop) expect(await each()).toBe(0);
      }
    },
    STARTS_LIMIT_MS,
  );
});

describe("what is installed", () => {
  const app = (): Installed => appOf(NODES[1]);

  it.each(PACKAGES)(
    "@drover/%s: JavaScript with maps that hold their sources, declarations, licence and README, and nothing else",
    (name) => {
      const folder = path.join(app().folder, "node_modules", "@drover", name);
      const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
      expect(files).toEqual(expect.arrayContaining(["LICENSE", "README.md", "package.json"]));
      expect(files.filter((file) => /\.ts$/.test(file) && !/\.d\.ts$/.test(file))).toEqual([]);
      expect(files.filter((file) => /\.test\.|(^|\/)testing\//.test(file))).toEqual([]);
      for (const file of files.filter((each) => /^dist\/.*\.js$/.test(each))) {
        expect(files).toContain(file.replace(/\.js$/, ".d.ts"));
        const map = JSON.parse(readFileSync(path.join(folder, `${file}.map`), "utf8")) as Record<string, unknown>;
        const sources = [expect.stringMatching(/^[^/]+\.ts$/)];
        expect(map).toMatchObject({ sources, sourcesContent: [expect.any(String)] });
      }
    },
  );

  it.each(["nodenext", "bundler"])(
    "type-checks for moduleResolution %s, the declarations themselves too",
    async (resolution) => {
      const { folder } = app();
      writeFileSync(path.join(folder, "app.ts"), consumer());
      writeFileSync(path.join(folder, "tsconfig.json"), compilerConfig(resolution));
      expect(await runIn(app(), TSC, ["--project", "."])).toEqual({ code: 0, stdout: "", stderr: "" });
    },
  );
});

function application(router: string, agent: string): string {
  return `import { createDroverClient } from "@drover/client";
import { createDirectClient } from "@drover/client/direct";
for (const drover of [createDroverClient({ address: "${router}" }), createDirectClient({ agents: "${agent}" })]) {
  const answer = drover.chat({ model: "llama3.2:1b", messages: [{ role: "user", content: "Say hello." }] });
  let chunks = 0;
  for await (const chunk of answer) chunks++;
  const { node } = await answer.result();
  console.log(JSON.stringify({ chunks, text: await answer.text(), node }));
  await drover.close();
}
`;
}

function consumer(): string {
  return `import { createDroverClient, NetworkAgentProvider } from "@drover/client";
import { createDirectClient, NetworkAgentProvider as DirectProvider } from "@drover/client/direct";
import { buildAgent } from "@drover/agent";
import { ENDINGS } from "@drover/platform";
import { ChatRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { buildRouter } from "@drover/router";
import { POLICY_NAMES } from "@drover/routing";
import { createSimOllama } from "@drover/sim-ollama";

const drover = createDroverClient({ address: "127.0.0.1:50051" });
const text: string = await drover.generate({ model: "llama3.2:1b", prompt: "Say hello." }).text();
// @ts-expect-error a model is needed
drover.generate({ prompt: "Say hello." });
const direct: string = await createDirectClient({ agents: "127.0.0.1" }).generate({ model: "a", prompt: "b" }).text();
console.log(text, direct, NetworkAgentProvider, DirectProvider, ENDINGS, ChatRequestSchema, POLICY_NAMES, buildAgent, buildRouter, createSimOllama);
`;
}

/** With the default libraries, so with those of a browser: the declarations of @connectrpc/connect need them. */
function compilerConfig(moduleResolution: string): string {
  const module = moduleResolution === "nodenext" ? "nodenext" : "esnext";
  const compilerOptions = { strict: true, noEmit: true, target: "esnext", types: ["node"], module, moduleResolution };
  return JSON.stringify({ compilerOptions, files: ["app.ts"] });
}
