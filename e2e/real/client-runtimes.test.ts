/**
 * The packed client in each runtime that it names: Node, the oldest that it lets in and ours, Bun and Deno. It streams, fails over,
 * reads an error, cancels up to Ollama's socket, and lets its process end. A runtime that this machine's registry does not have is
 * skipped with a line; under CI=true that fails.
 */
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { RequestRecord } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { freePort } from "../src/free-port.ts";
import { type Installed, npmInstall, packInto, runIn } from "../src/packed-drover.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const MODEL = "chat";
const SYSTEM = `${process.platform}-${process.arch}`;
const NODE_PACKAGE = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

interface Runtime {
  readonly name: string;
  /** Of npm: a package whose only content is the program for this system. */
  readonly wanted: string;
  /** Below node_modules. */
  readonly program: string;
  readonly args: readonly string[];
}

const RUNTIMES: readonly Runtime[] = [
  {
    name: "Node 22.19.0",
    wanted: `node-oldest@npm:${NODE_PACKAGE}@22.19.0`,
    program: "node-oldest/bin/node",
    args: [],
  },
  { name: "Bun", wanted: `@oven/bun-${SYSTEM}@1.4.5`, program: `@oven/bun-${SYSTEM}/bin/bun`, args: ["run"] },
  {
    name: "Deno",
    wanted: `@deno/${SYSTEM}-glibc@2.9.6`,
    program: `@deno/${SYSTEM}-glibc/deno`,
    // Without asking any registry: what npm has installed is all there is.
    args: ["run", "--allow-all", "--node-modules-dir=manual", "--cached-only", "--no-check"],
  },
];

const root = mkdtempSync(path.join(tmpdir(), "drover-runtimes-"));
const here = path.dirname(process.execPath);
const runtimes = new Map<string, string | undefined>([[`Node ${process.versions.node}`, process.execPath]]);
let app: Installed;
let ollama: SimOllamaProcess;
let agent: DroverProcess;
let router: DroverProcess;

/** Undefined where the registry has none for this system. */
async function install({ name, wanted, program }: Runtime): Promise<string | undefined> {
  const folder = path.join(root, name.replaceAll(" ", "-"));
  const installed = await npmInstall(folder, here, ["--ignore-scripts", wanted]).catch((error: unknown) =>
    String(error),
  );
  if (typeof installed !== "string") return path.join(folder, "node_modules", program);
  process.stderr.write(`SKIPPED: the client in ${name}: ${installed.slice(0, 300)}\n`);
  return undefined;
}

beforeAll(async () => {
  const tarballs = path.join(root, "dist");
  const packed = packInto(tarballs).then(async () => {
    app = await npmInstall(path.join(root, "app"), here, globSync(path.join(tarballs, "*.tgz")));
  });
  const flags = ["--models", MODEL, "--load-seconds", "0", "--speed", "100", "--answer-tokens", "100000"];
  const fleet = startSimOllama(flags).then(async (started) => {
    ollama = started;
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--slots", "4"]);
    router = await startDrover("router", ["--nodes", agent.address]);
  });
  const installs = RUNTIMES.map(async (runtime) => void runtimes.set(runtime.name, await install(runtime)));
  await Promise.all([packed, fleet, ...installs]);
}, 240_000);
afterAll(async () => {
  await router?.stop("SIGKILL");
  await agent?.stop("SIGKILL");
  await ollama?.close();
  rmSync(root, { recursive: true, force: true });
});

/** How the long answers ended at Ollama since the last look. */
async function endsAtOllama(): Promise<readonly (string | undefined)[]> {
  const answer = await fetch(`${ollama.url}/sim/requests`);
  const { requests } = (await answer.json()) as { requests: RequestRecord[] };
  const chats = requests.filter(({ path: asked, chunks }) => asked === "/api/chat" && chunks > 0);
  return chats.map(({ end }) => end?.how);
}

describe.each([{ name: `Node ${process.versions.node}`, args: [] as readonly string[] }, ...RUNTIMES])(
  "in $name",
  ({ name, args }) => {
    it("streams, fails over, reads errors, cancels up to Ollama's socket, and lets the process end", async (context) => {
      const program = runtimes.get(name);
      if (program === undefined && process.env["CI"] !== "true") return context.skip(`${name} is not to be had`);
      await fetch(`${ollama.url}/sim/requests`, { method: "DELETE" });
      const dead = `127.0.0.1:${await freePort()}`;
      writeFileSync(path.join(app.folder, "app.js"), application(router.address, dead));
      const { stdout, stderr, code } = await runIn(app, program ?? name, [...args, "app.js"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const said = JSON.parse(stdout) as Record<string, unknown>;
      expect(said).toMatchObject({
        models: [MODEL],
        node: "one",
        attempts: 1,
        doneReason: "length",
        lost: "MODEL_NOT_FOUND NOT_FOUND",
        overDead: Array(6).fill("SERVING"),
        unreachable: "ROUTER_UNREACHABLE",
        left: 3,
      });
      expect(said["text"]).toMatch(/\w+ \w+/);
      expect(String(said["unreachableMessage"])).toContain(`http://${dead}`);
      // Ollama's socket was closed by the one that left its loop.
      await vi.waitFor(async () => expect(await endsAtOllama()).toEqual(["completed", "client-closed"]), {
        timeout: 5_000,
      });
    });
  },
);

function application(router: string, dead: string): string {
  return `import { createDroverClient } from "@drover/client";
const messages = [{ role: "user", content: "Tell me a story" }];
const drover = createDroverClient({ address: "${router}" });
const said = {};
for (;;) {
  said.models = (await drover.fleet.listModels()).map(({ name }) => name.replace(/:latest$/, ""));
  if (said.models.length > 0) break;
}
const answer = drover.chat({ model: "${MODEL}", messages, options: { numPredict: 20 } });
const { text, node, attempts, doneReason } = await answer.result();
Object.assign(said, { text, node, attempts, doneReason });
said.lost = await drover.generate({ model: "nowhere", prompt: "" }).text().catch((e) => e.reason + " " + e.status);
said.overDead = [];
for (let count = 0; count < 6; count++) {
  const both = createDroverClient({ address: ["${dead}", "${router}"] });
  said.overDead.push(await both.health().catch((e) => e.message));
  await both.close();
}
const alone = createDroverClient({ address: "${dead}" });
await alone.health().catch((e) => { said.unreachable = e.reason; said.unreachableMessage = e.message; });
await alone.close();
said.left = 0;
for await (const chunk of drover.chat({ model: "${MODEL}", messages })) {
  said.left += 1;
  if (said.left === 3) break;
}
await drover.close();
console.log(JSON.stringify(said));
`;
}
