/**
 * The real Ollama for tests: finds the program, starts it on a free port with models of its own, gives it a small real
 * model and stops it without leaving a process. The imported models stay in the system's temporary folder, named by the
 * digest of the weights, so that the next run has them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { post, send } from "./ollama-http.ts";

/** What a test on the real Ollama needs. */
export type RealOllamaSetup =
  | { readonly kind: "ready"; readonly program: string; readonly weights: string }
  | { readonly kind: "missing"; readonly sentence: string };

export interface RealOllama {
  readonly url: string;
  /** `host:port`. */
  readonly address: string;
  readonly pid: number;
  readonly models: RealModels;
  /** Processes of its runners, one per loaded model. */
  runnerPids(): Promise<number[]>;
  /** Stops it; resolves when it and its runners are gone. */
  close(): Promise<void>;
}

export interface RealModels {
  /** SmolLM2-135M with Ollama's chatml template: completion only. */
  readonly chat: string;
  /** The same weights with a template that takes tools. */
  readonly tools: string;
}

export interface RealOllamaOptions {
  /** `OLLAMA_NUM_PARALLEL`; default 1. */
  readonly slots?: number;
  /** More variables for the daemon. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: a free port. */
  readonly port?: number;
}

const MODELS: RealModels = { chat: "smollm2:135m", tools: "smollm2-tools:135m" };

const TOOLS_TEMPLATE =
  "{{- if .Tools }}<|im_start|>system\n{{ .Tools }}<|im_end|>\n{{ end }}" +
  "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n";

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;

/** Looks for `ollama` on PATH and for the weights that DROVER_MODEL_GGUF names. */
export function findRealOllama(): RealOllamaSetup {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const program = folders.map((folder) => join(folder, "ollama")).find((path) => existsSync(path));
  if (program === undefined) return { kind: "missing", sentence: "there is no `ollama` on PATH" };
  const weights = process.env["DROVER_MODEL_GGUF"];
  if (weights === undefined || !existsSync(weights)) {
    return { kind: "missing", sentence: "DROVER_MODEL_GGUF does not name the file of a small model" };
  }
  return { kind: "ready", program, weights };
}

/** Where the real program is missing, tests say so and skip; under CI=true that is an error. */
export function requireRealOllama(): boolean {
  const setup = findRealOllama();
  if (setup.kind === "ready") return true;
  if (process.env["CI"] === "true") throw new Error(`the real Ollama is missing: ${setup.sentence}`);
  process.stderr.write(`SKIPPED: tests on the real Ollama, because ${setup.sentence}\n`);
  return false;
}

export async function startRealOllama(options: RealOllamaOptions = {}): Promise<RealOllama> {
  const setup = findRealOllama();
  if (setup.kind === "missing") throw new Error(setup.sentence);
  const digest = await digestOf(setup.weights);
  const home = await mkdtemp(join(tmpdir(), "drover-ollama-home-"));
  const address = `127.0.0.1:${options.port ?? (await freePort())}`;
  const child = spawn(setup.program, ["serve"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      OLLAMA_HOST: address,
      OLLAMA_MODELS: join(tmpdir(), `drover-ollama-models-${digest.slice(0, 16)}`),
      OLLAMA_NUM_PARALLEL: String(options.slots ?? 1),
      OLLAMA_NOPRUNE: "1",
      OLLAMA_NO_CLOUD: "1",
      ...options.environment,
    },
  });
  const stop = stopper(child, home);
  try {
    await answering(`http://${address}`, child);
    await importModels(`http://${address}`, setup.weights, digest);
  } catch (error) {
    await stop();
    throw error;
  }
  const pid = child.pid ?? 0;
  return { url: `http://${address}`, address, pid, models: MODELS, runnerPids: () => childrenOf(pid), close: stop };
}

async function importModels(url: string, weights: string, digest: string): Promise<void> {
  const { models } = (await send(url, "/api/tags")).json() as { models: { name: string }[] };
  const names = new Set(models.map((model) => model.name));
  if (!names.has(MODELS.chat)) await importWeights(url, MODELS.chat, weights, digest);
  if (!names.has(MODELS.tools)) await create(url, { model: MODELS.tools, from: MODELS.chat, template: TOOLS_TEMPLATE });
}

/** Makes a model of the same small weights as another file: the last letter of the name in it is `letter`. */
export async function importOtherWeights(url: string, model: string, letter: string): Promise<void> {
  const setup = findRealOllama();
  if (setup.kind === "missing") throw new Error(setup.sentence);
  const folder = await mkdtemp(join(tmpdir(), "drover-weights-"));
  const file = join(folder, "other.gguf");
  try {
    await writeFile(file, renamed(await readFile(setup.weights), letter));
    await importWeights(url, model, file, await digestOf(file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function renamed(gguf: Buffer, letter: string): Buffer {
  const key = "general.name";
  const at = gguf.indexOf(key);
  if (at < 0) throw new Error(`the model file has no ${key}`);
  // The key is followed by the type of its value (4 bytes), its length (8 bytes) and the text.
  const valueAt = at + key.length + 12;
  gguf.write(letter, valueAt + Number(gguf.readBigUInt64LE(valueAt - 8)) - 1);
  return gguf;
}

/** Makes a model of a GGUF file. */
async function importWeights(url: string, model: string, file: string, digest: string): Promise<void> {
  await uploadBlob(url, file, digest);
  await create(url, { model, files: { "model.gguf": `sha256:${digest}` } });
}

async function create(url: string, body: object): Promise<void> {
  const answer = await post(url, "/api/create", { ...body, stream: false });
  if (answer.status !== 200) throw new Error(`create answered ${answer.status}: ${answer.text}`);
}

function uploadBlob(url: string, weights: string, digest: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = request(new URL(`/api/blobs/sha256:${digest}`, url), { method: "POST", agent: false });
    upload.once("response", (response) => {
      response.resume();
      if (response.statusCode === 200 || response.statusCode === 201) resolve();
      else reject(new Error(`the blob was refused with ${response.statusCode}`));
    });
    upload.once("error", reject);
    createReadStream(weights).once("error", reject).pipe(upload);
  });
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(file)) hash.update(part as Buffer);
  return hash.digest("hex");
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  let printed = "";
  child.stderr?.on("data", (part: Buffer) => {
    printed = (printed + part.toString()).slice(-4096);
  });
  const endMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < endMs && child.exitCode === null) {
    const isUp = await send(url, "/api/version").then(
      (answer) => answer.status === 200,
      () => false,
    );
    if (isUp) return;
    await pause(50);
  }
  throw new Error(`ollama serve did not start: ${printed}`);
}

/** Ends the daemon by its id, and a runner of it that stays behind by its own. */
function stopper(child: ChildProcess, home: string): () => Promise<void> {
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const killNow = (): void => void child.kill("SIGKILL");
  process.once("exit", killNow);
  let isStopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const runners = child.pid === undefined ? [] : await childrenOf(child.pid);
    child.kill("SIGTERM");
    const timer = setTimeout(killNow, STOP_LIMIT_MS);
    await exited;
    clearTimeout(timer);
    process.off("exit", killNow);
    for (const pid of runners) killQuietly(pid);
    await rm(home, { recursive: true, force: true });
  };
  return () => {
    isStopped ??= stop();
    return isStopped;
  };
}

async function childrenOf(parent: number): Promise<number[]> {
  const names = await readdir("/proc").catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const isChild = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      // The name in parentheses may hold anything; state and parent follow the last one.
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
    }),
  );
  return pids.filter((_, i) => isChild[i]);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
