// Runs one of the programs in node_modules/.bin from the root of the repository and keeps what it printed.
import { spawn } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository, absolute. */
export const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

/** What a tool did: it passed when its exit code was 0. `output` is standard output and standard error as they came. */
export interface ToolResult {
  readonly isPassed: boolean;
  readonly output: string;
}

/** Runs a tool to its end. A tool that cannot be started is a failed result that says why; this never rejects. */
export function runTool(name: string, args: readonly string[]): Promise<ToolResult> {
  const bin = path.join(ROOT, "node_modules", ".bin");
  // buf looks for protoc-gen-es on PATH, and the tools' own `#!/usr/bin/env node` must find the pinned Node first.
  const env = { ...process.env, NO_COLOR: "1", PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}` };
  return new Promise((resolve) => {
    const child = spawn(name, args, {
      cwd: ROOT,
      env,
      shell: process.platform === "win32",
      stdio: ["ignore", "pipe", "pipe"],
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (error) => resolve({ isPassed: false, output: `${name} did not start: ${error.message}\n` }));
    child.on("close", (code) => resolve({ isPassed: code === 0, output: Buffer.concat(chunks).toString("utf8") }));
  });
}
