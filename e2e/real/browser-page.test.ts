/**
 * The page of clients/examples/browser as its README says: `npm start -- --cors-origin …`, built by its own command, and used as
 * people do, found by what a screen reader would find.
 */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { startChromium } from "../src/browser/chromium.ts";
import { type Site, type SiteFile, serveSite } from "../src/browser/site.ts";
import { describeWith } from "../src/real-programs.ts";
import { runProgram } from "../src/run-program.ts";
import { CHECKOUT, runStart, type StartProcess } from "../src/start-process.ts";

const EXAMPLE = "clients/examples/browser";
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const soon = { timeout: 10_000, interval: 50 };

describeWith(["chromium"], "the example page in Chromium", ({ chromium }) => {
  let browser: Browser;
  let site: Site;
  let fleet: StartProcess;
  let router: string;
  let page: Page;

  beforeAll(async () => {
    const built = await runProgram("npm", ["run", "build", "--prefix", CHECKOUT, "--workspace", EXAMPLE]);
    expect(built.code, built.stderr).toBe(0);
    site = await serveSite(filesOf(join(CHECKOUT, EXAMPLE, "dist")));
    // Nothing answers at port 9, so the nodes are simulated.
    fleet = runStart(["--no-sample", "--cors-origin", site.origin], { env: { OLLAMA_HOST: "127.0.0.1:9" } });
    browser = await startChromium(chromium);
    router = `http://${await fleet.serves()}`;
    page = await open(site.origin);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    fleet?.signal("SIGTERM");
    await fleet?.ended;
    fleet?.killAll();
  });

  function filesOf(folder: string): Map<string, SiteFile> {
    const file = (name: string): [string, SiteFile] => [
      name === "index.html" ? "/" : `/${name}`,
      { type: TYPES[extname(name)] ?? "application/octet-stream", body: readFileSync(join(folder, name)) },
    ];
    return new Map(readdirSync(folder).map(file));
  }

  async function open(origin: string, address = router): Promise<Page> {
    const opened = await browser.newPage();
    await opened.goto(`${origin}/?router=${encodeURIComponent(address)}`);
    return opened;
  }

  const text = (on: Page, selector: string) => on.$eval(selector, ({ textContent }) => textContent ?? "");
  const press = (on: Page, name: string) => on.locator(`::-p-aria([name="${name}"][role="button"])`).click();
  const shows = (on: Page, selector: string, words: string | RegExp) =>
    vi.waitFor(async () => expect(await text(on, selector)).toMatch(words), soon);

  it("connects, lists the models, and answers while one reads", async () => {
    await shows(page, "#connection", /^Connected: \d+ models?\.$/);
    await page.locator('::-p-aria([name="Prompt"][role="textbox"])').fill("Say hello.");
    await press(page, "Send");
    await shows(page, "#answer", /\S/);
    const early = (await text(page, "#answer")).length;
    await shows(page, "#progress", /^Done\.$/);
    expect((await text(page, "#answer")).length).toBeGreaterThan(early);
    expect(await text(page, "#node")).toMatch(/^sim-/);
    expect(await text(page, "#first-token")).toMatch(/ s$/);
    expect(Number(await text(page, "#tokens"))).toBeGreaterThan(0);
  });

  it("stops when it is told to, and can be asked again", async () => {
    await shows(page, "#connection", /^Connected/);
    await press(page, "Send");
    await shows(page, "#answer", /\S/);
    await press(page, "Stop");
    await shows(page, "#progress", /^Stopped/);
    await press(page, "Send");
    await shows(page, "#progress", /^Done\.$/);
  });

  it("says that a router does not let it call, and what to do", async () => {
    const other = await open(site.otherOrigin);
    await shows(other, "#connection", `--cors-origin ${site.otherOrigin}`);
    await other.close();
  });

  it("says that no router is there", async () => {
    const lost = await open(site.origin, "http://127.0.0.1:9");
    await shows(lost, "#connection", "No router answers at http://127.0.0.1:9");
    await lost.close();
  });
});
