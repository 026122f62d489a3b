import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@drover/platform";
import { HEALTH_DEFAULTS, RETRY_DEFAULTS } from "@drover/routing";
import { afterAll, describe, expect, it } from "vitest";
import { exampleProblems } from "../../platform/src/testing/help-examples.ts";
import { type RouterConfig, routerConfig } from "./config.ts";
import { healthOptions, retryOptions } from "./failure-flags.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-router-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function load(argv: readonly string[], env: Record<string, string> = {}): RouterConfig {
  const loaded = loadConfig(routerConfig, { argv, env });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  return loaded.config;
}

function problems(...argv: string[]): readonly string[] {
  const loaded = loadConfig(routerConfig, { argv, env: {} });
  return loaded.kind === "wrong" ? loaded.problems : [];
}

describe("the router's configuration", () => {
  it("needs nothing", () => {
    expect(load([])).toMatchObject({
      listen: "127.0.0.1:50051",
      opsListen: "127.0.0.1:50059",
      isInsecure: false,
      nodes: [],
      policy: "weighted",
      maxWaitMs: 120_000,
      adminTokenFile: undefined,
    });
  });

  it("lets the numbers of ejection and retries be turned", () => {
    const config = load(["--eject-after", "2", "--eject-time", "5s", "--retry-reserve", "9"], {
      DROVER_EJECT_SHARE: "25",
      DROVER_ATTEMPTS_MAX: "1",
    });
    expect(healthOptions(config)).toEqual({
      consecutiveFailures: 2,
      baseEjectionMs: 5_000,
      maxEjectionMs: HEALTH_DEFAULTS.maxEjectionMs,
      maxEjectedShare: 0.25,
    });
    expect(retryOptions(config)).toEqual({ attemptsMax: 1, budgetRatio: RETRY_DEFAULTS.budgetRatio, budgetReserve: 9 });
    expect(problems("--eject-time", "10m")).toEqual(["--eject-time: must not be longer than --eject-time-max"]);
    expect(problems("--eject-after", "0", "--eject-share", "101", "--attempts-max", "0")).toHaveLength(3);
  });

  it("has the library's own numbers by default", () => {
    expect(HEALTH_DEFAULTS).toMatchObject(healthOptions(load([])));
    expect(RETRY_DEFAULTS).toMatchObject(retryOptions(load([])));
  });

  it("takes nodes with and without a port, in one flag or several", () => {
    expect(load(["--nodes", "a,b:1", "--nodes", "[::1]:2"]).nodes).toEqual([
      { host: "a", port: 50_052 },
      { host: "b", port: 1 },
      { host: "::1", port: 2 },
    ]);
  });

  it("reads the environment and a file by the same names, the flag above both", () => {
    const file = join(folder, "router.yaml");
    writeFileSync(file, "nodes: [file:1]\npolicy: round-robin\nmax-wait: 5s\n");
    const env = { DROVER_CONFIG: file, DROVER_POLICY: "least-connections", DROVER_NODES: "env:1,env:2" };
    expect(load(["--nodes", "flag:1"], env)).toMatchObject({
      nodes: [{ host: "flag", port: 1 }],
      policy: "least-connections",
      maxWaitMs: 5_000,
    });
  });

  it("says all that is wrong at once", () => {
    expect(problems("--policy", "best", "--max-wait", "9", "--nodes", "a:b:c", "--cors-origin", "app")).toHaveLength(4);
    expect(problems("--nodes", "a:0")).toEqual(["--nodes a:0: nobody can be called at port 0"]);
    expect(problems("--nodes-dns", "a:0")).toEqual(["--nodes-dns a:0: nobody can be called at port 0"]);
  });

  it.each(["--resume", "--labels", "--ollama"])("knows no %s, which would do nothing", (flag) => {
    expect(problems(flag)[0]).toContain("there is no such flag");
  });
});

it("the examples of --help are right", () => {
  expect(exampleProblems(routerConfig)).toEqual([]);
});
