/** docs/getting-started.md from its first command to its last, in an empty folder with the tarballs, and with the outputs that it shows. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, it } from "vitest";
import { startChromium } from "../src/browser/chromium.ts";
import { packInto } from "../src/packed-drover.ts";
import { PageRunner, stepsOf } from "../src/page-runner.ts";
import { describeWith } from "../src/real-programs.ts";

const PAGE = readFileSync(new URL("../../docs/getting-started.md", import.meta.url), "utf8");
const STEPS = stepsOf(PAGE);

/** Other programs may have these ports: each is another one here, wherever the page names it. */
const PORTS = ["11434", "11435", "50051", "50052", "50053", "50059", "50060", "50061", "8080"] as const;

/** What the programs mean where the page leaves it out, so that these ports are named as well. */
const DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  "npx drover-sim-ollama": ["--listen 127.0.0.1:11434"],
  "npx drover-agent": ["--listen 127.0.0.1:50052", "--ops-listen 127.0.0.1:50060", "--ollama http://127.0.0.1:11434"],
  "npx drover-router": ["--listen 127.0.0.1:50051", "--ops-listen 127.0.0.1:50059"],
};

function withDefaults(command: string): string {
  const [program, flags] = Object.entries(DEFAULTS).find(([name]) => command.startsWith(name)) ?? ["", []];
  const missing = flags.filter((flag) => !command.includes(` ${flag.split(" ")[0]} `));
  return command.replace(program, [program, ...missing].join(" "));
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}

/** Without what configures Drover on the developer's machine, and with the Node that runs this. */
function readersEnv(folder: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(DROVER|OLLAMA|CONSUL|OTEL|npm)_/.test(name));
  const PATH = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const quick = { npm_config_prefer_offline: "true", npm_config_audit: "false", npm_config_fund: "false" };
  return { ...Object.fromEntries(own), ...quick, PATH, XDG_STATE_HOME: join(folder, "state") };
}

describeWith(["grpcurl", "chromium"], "the page Getting started", ({ chromium }) => {
  let folder = "";
  let runner: PageRunner;
  let isBroken = false;
  let browser: Browser | undefined;

  const open = async (url: string, selector: string): Promise<void> => {
    browser ??= await startChromium(chromium);
    const page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction(`document.querySelector(${JSON.stringify(selector)})?.textContent.trim()`);
    await page.close();
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "drover-reader-"));
    await packInto(join(folder, "packages"));
    const ports = await freePorts(PORTS.length);
    const portOf = new Map<string, string>(PORTS.map((port, index) => [port, String(ports[index])]));
    runner = new PageRunner({
      folder,
      open,
      env: readersEnv(folder),
      translate: (text) => withDefaults(text).replace(/\b\d{4,5}\b/g, (number) => portOf.get(number) ?? number),
    });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await runner?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.for(STEPS)("line $line: $title", { timeout: 150_000 }, async (step, { skip }) => {
    skip(isBroken, "an earlier step failed");
    isBroken = true;
    await runner.do(step);
    isBroken = false;
  });
});
