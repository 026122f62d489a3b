import { type ChildProcess, fork, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { send } from "../src/ollama-http.ts";
import { startSimOllama } from "../src/sim-ollama-process.ts";

const LAUNCHER = fileURLToPath(new URL("../../services/sim-ollama/bin/drover-sim-ollama.js", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[]): Promise<Ended> {
  return ended(spawn(process.execPath, [LAUNCHER, ...args]));
}

async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (part: Buffer) => {
    stdout += part.toString();
  });
  child.stderr?.on("data", (part: Buffer) => {
    stderr += part.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

test("help goes to standard output and is no failure", async () => {
  const { code, stdout } = await run(["--help"]);
  expect([code, stdout.startsWith("Usage: drover-sim-ollama")]).toEqual([0, true]);
});

test("a wrong flag is one sentence and exit 2", async () => {
  const { code, stdout, stderr } = await run(["--models", "m", "--sped", "3"]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^drover-sim-ollama: [^\n]*--sped[^\n]*\n$/);
});

test("a taken port is one sentence and exit 2", async () => {
  const first = await startSimOllama(["--models", "m"]);
  const { code, stderr } = await run(["--models", "m", "--listen", first.address]);
  await first.close();
  expect(code).toBe(2);
  expect(stderr).toMatch(/^drover-sim-ollama: --listen: 127\.0\.0\.1:\d+ is taken; [^\n]+\n$/);
});

test.each(["SIGTERM", "SIGINT"] as const)("%s ends it with exit 0, in the middle of an answer", async (signal) => {
  const child = spawn(process.execPath, [LAUNCHER, "--models", "m", "--listen", "127.0.0.1:0", "--load-seconds", "60"]);
  const line = await new Promise<string>((resolve) =>
    child.stdout.once("data", (part: Buffer) => resolve(part.toString())),
  );
  const [url] = /http:\/\/[\d.:]+/.exec(line) ?? [""];
  const running = send(url, "/api/generate", { method: "POST", body: { model: "m" } }).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  child.kill(signal);
  const { code, stdout } = await ended(child);
  await running;
  expect([code, stdout, line]).toEqual([0, "", `drover-sim-ollama: simulated Ollama ready at ${url} with m\n`]);
});

test("it ends when the process that forked it lets go", async () => {
  const child = fork(LAUNCHER, ["--models", "m", "--listen", "127.0.0.1:0"], { stdio: "ignore" });
  const message = await new Promise((resolve) => child.once("message", resolve));
  expect(message).toEqual({ type: "ready", address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.disconnect();
  expect(await exited).toBe(0);
});
