import { spawn } from "node:child_process";
import { describe, expect, test } from "vitest";

const LOG = new URL("log.ts", import.meta.url).href;

/** Runs `body` in a process with a `log`; `isRead`: whether anybody reads its standard error. */
async function run(body: string, isRead: boolean): Promise<{ code: number | null; stderr: string }> {
  const script = `import { createLogger } from ${JSON.stringify(LOG)}; const log = createLogger({ name: "test" }); ${body}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "ignore", "pipe"] });
  let stderr = "";
  if (isRead) child.stderr.on("data", (part: Buffer) => (stderr += part.toString()));
  else child.stderr.destroy();
  child.stdin.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  return { code, stderr };
}

describe("the log on standard error", { timeout: 20_000 }, () => {
  test("has the lines that were written right before the exit, in order", async () => {
    const { code, stderr } = await run("for (let i = 0; i < 100; i++) log.info({ i }, 'line'); process.exit(3);", true);
    const numbers = stderr
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { i: number }).i);
    // The first is on its way to the file system by then, and may come late.
    const others = numbers.filter((i) => i > 0);
    expect([code, others]).toEqual([3, Array.from({ length: 99 }, (_, i) => i + 1)]);
  });

  test("does not hold the exit of a program whose reader is gone", async () => {
    const { code } = await run(
      "process.stdin.on('end', () => { log.info('a'); log.info('b'); process.exit(3); }); process.stdin.resume();",
      false,
    );
    expect(code).toBe(3);
  });

  test("neither stops nor fills a program whose reader does not read", async () => {
    const many = "const line = 'x'.repeat(10_000); for (let i = 0; i < 10_000; i++) log.info(line); process.exit(3);";
    const child = run(many, true);
    expect((await child).code).toBe(3);
    expect((await child).stderr.length).toBeLessThan(5_000_000);
  });
});
