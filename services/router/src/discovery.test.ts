import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, loadConfig, SimClock, seededRng, silentLogger } from "@drover/platform";
import { openSources } from "@drover/routing";
import { afterAll, describe, expect, it } from "vitest";
import { routerConfig } from "./config.ts";
import { discoveryOptions } from "./discovery.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-discovery-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function namesOf(argv: string[], env: Record<string, string> = {}): Promise<readonly string[]> {
  const loaded = loadConfig(routerConfig, { argv, env });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  const surroundings = { clock: new SimClock(), rng: seededRng(1), log: silentLogger, isAttached: () => false };
  const { sources, close } = openSources(discoveryOptions(loaded.config, env), surroundings);
  await close();
  return sources.map((source) => source.name);
}

function fileWith(content: string): string {
  const path = join(folder, "nodes");
  writeFileSync(path, content);
  return path;
}

describe("where a router looks for agents", () => {
  it("is a list that may be empty, when nothing else is said", async () => {
    expect(await namesOf([])).toEqual(["static"]);
    expect(await namesOf([], { CONSUL_HTTP_ADDR: "127.0.0.1:8500", CONSUL_HTTP_TOKEN: "x" })).toEqual(["static"]);
  });

  it("is whatever was named, all at once", async () => {
    const file = fileWith("gpu-1\n");
    expect(await namesOf(["--consul"])).toEqual(["consul"]);
    expect(await namesOf(["--nodes-file", file])).toEqual(["file"]);
    expect(await namesOf(["--nodes-dns", "ollama.internal"])).toEqual(["dns"]);
    expect(await namesOf(["--nodes", "a:1", "--nodes-file", file, "--consul"])).toEqual(["file", "consul", "static"]);
  });

  it.each([
    ["gpu-1\ngpu 2\n", /--nodes-file .*nodes: line 2, "gpu 2": must be HOST:PORT or HOST\.$/],
    ["", /--nodes-file .*nodes: is empty/],
  ])("is not a file that holds %o, which is said before anything starts", async (content, words) => {
    const wrong = namesOf(["--nodes-file", fileWith(content)]);
    await expect(wrong).rejects.toThrow(ConfigError);
    await expect(wrong).rejects.toThrow(words);
  });

  it("is not a file that is not there, nor a Consul whose token cannot be read", async () => {
    await expect(namesOf(["--nodes-file", join(folder, "none")])).rejects.toThrow(/cannot be read \(ENOENT\)\.$/);
    const env = { CONSUL_HTTP_TOKEN_FILE: join(folder, "none") };
    await expect(namesOf(["--consul"], env)).rejects.toThrow(/CONSUL_HTTP_TOKEN_FILE/);
  });
});
