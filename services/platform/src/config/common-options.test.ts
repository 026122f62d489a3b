import { hostname } from "node:os";
import { expect, it } from "vitest";
import { commonOptions } from "./common-options.ts";
import { defineConfig } from "./define.ts";
import { loadConfig } from "./load.ts";

const definition = defineConfig({
  name: "drover-agent",
  version: "0.0.0",
  summary: "",
  examples: [],
  options: commonOptions({ listen: "127.0.0.1:50052", opsListen: "127.0.0.1:50060", program: "agent" }),
});

function load(argv: string[], env: Record<string, string> = {}) {
  const loaded = loadConfig(definition, { argv, env });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  return loaded.config;
}

it("has safe defaults", () => {
  expect(load([])).toEqual({
    listen: "127.0.0.1:50052",
    opsListen: "127.0.0.1:50060",
    name: hostname(),
    labels: new Map(),
    stateDir: undefined,
    isInsecure: false,
    adminTokenFile: undefined,
    allowHosts: [],
    logLevel: "info",
    config: undefined,
  });
});
