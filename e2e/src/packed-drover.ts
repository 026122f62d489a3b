/**
 * Drover as strangers get it: the tarballs of `npm run pack`, installed into an empty folder, under a Node of their own. Knows
 * nothing of the checkout but how to pack it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ProgramOutput } from "./run-program.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const INSTALL_LIMIT_MS = 120_000;
const START_LIMIT_MS = 30_000;

/** A folder into which packages were installed, and the Node that runs there. */
export interface Installed {
  readonly folder: string;
  /** First on PATH of whatever runs there. */
  readonly nodeFolder: string;
}

/** Packs the checkout into `folder`; rejects with what the command said, also when publint or attw complain. */
export async function packInto(folder: string): Promise<void> {
  await mustRun(process.execPath, ["tools/pack.ts", "--to", folder], { cwd: CHECKOUT });
}

/** A folder with the program `node` for each version; npm has Node as a package for each system. */
export async function installNodes(versions: readonly string[], folder: string): Promise<string[]> {
  const system = process.platform === "win32" ? "win" : process.platform;
  const wanted = versions.map((version) => `node-${version}@npm:node-${system}-${process.arch}@${version}`);
  await npmInstall(folder, path.dirname(process.execPath), wanted);
  return versions.map((version) => path.join(folder, "node_modules", `node-${version}`, "bin"));
}

/** `npm install` in an empty folder, under the Node of `nodeFolder`. */
export async function npmInstall(folder: string, nodeFolder: string, wanted: readonly string[]): Promise<Installed> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--engine-strict"];
  const installed = { folder, nodeFolder };
  await mustRun("npm", ["install", ...flags, ...wanted], { cwd: folder, env: envOf(installed) });
  return installed;
}

/** Runs a program of the folder, or one of the system, to its end. */
export function runIn(installed: Installed, file: string, args: readonly string[]): Promise<ProgramOutput> {
  return run(file, args, { cwd: installed.folder, env: envOf(installed) });
}

export interface PackedProgram {
  /** host:port at which it listens. */
  readonly address: string;
  /** Of the operators' port, where it has one. */
  readonly opsAddress: string | undefined;
  /** Ends it with SIGTERM; resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** Starts `node_modules/.bin/NAME` as a shell would; rejects with what it printed when it does not serve. */
export async function startPacked(
  installed: Installed,
  name: string,
  flags: readonly string[],
): Promise<PackedProgram> {
  const child = spawn(path.join(installed.folder, "node_modules", ".bin", name), flags, {
    cwd: installed.folder,
    env: envOf(installed),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const killNow = (): void => void child.kill("SIGKILL");
  process.once("exit", killNow);
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => {
      process.off("exit", killNow);
      resolve(code);
    });
  });
  const { address, opsAddress } = await readyFacts(child);
  return {
    address,
    opsAddress,
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

interface ReadyFacts {
  readonly address: string;
  readonly opsAddress: string | undefined;
}

function readyFacts(child: ChildProcess): Promise<ReadyFacts> {
  return new Promise((resolve, reject) => {
    let printed = "";
    const note = (part: Buffer): void => {
      printed = (printed + part.toString()).slice(-4096);
    };
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    const timer = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`it ended with ${code} before it served: ${printed}`));
    });
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve(message as ReadyFacts);
    });
  });
}

/** Without whatever configures Drover or Ollama on the developer's machine. */
function envOf({ nodeFolder }: Installed): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(DROVER|OLLAMA|CONSUL|OTEL)_/.test(name));
  return { ...Object.fromEntries(kept), PATH: `${nodeFolder}${path.delimiter}${process.env["PATH"] ?? ""}` };
}

interface RunOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
}

async function mustRun(file: string, args: readonly string[], options: RunOptions): Promise<void> {
  const { code, stdout, stderr } = await run(file, args, options);
  if (code !== 0) throw new Error(`${file} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
}

function run(file: string, args: readonly string[], options: RunOptions): Promise<ProgramOutput> {
  const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (part: string) => {
      said[name] += part;
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), INSTALL_LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...said });
    });
  });
}
