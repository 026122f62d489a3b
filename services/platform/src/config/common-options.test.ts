import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { commonOptions, consulOption } from "./common-options.ts";
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

describe("--consul", () => {
  const withConsul = defineConfig({
    name: "drover-test",
    version: "0.0.0",
    summary: "",
    examples: [],
    options: { consul: consulOption("Uses Consul.") },
  });
  const read = (argv: string[], env: Record<string, string> = {}) => loadConfig(withConsul, { argv, env });
  const consul = (argv: string[], env: Record<string, string> = {}) => {
    const loaded = read(argv, env);
    return loaded.kind === "ok" ? loaded.config.consul : loaded;
  };

  it("is off without the flag, whatever the variables of Consul say", () => {
    expect(consul([], { CONSUL_HTTP_ADDR: "consul:8500", CONSUL_HTTP_TOKEN: "x" })).toBeUndefined();
  });

  it("takes CONSUL_HTTP_ADDR without a value, and else the address where Consul listens by default", () => {
    expect(consul(["--consul"])).toBe("http://127.0.0.1:8500");
    expect(consul(["--consul"], { CONSUL_HTTP_ADDR: "consul:8501", CONSUL_HTTP_SSL: "true" })).toBe(
      "https://consul:8501",
    );
    expect(consul([], { DROVER_CONSUL: "true", CONSUL_HTTP_ADDR: "https://c/prefix/" })).toBe("https://c/prefix");
  });

  it("takes an address before CONSUL_HTTP_ADDR", () => {
    expect(consul(["--consul", "a"], { CONSUL_HTTP_ADDR: "b" })).toBe("http://a:8500");
    expect(consul([], { DROVER_CONSUL: "[::1]:8500" })).toBe("http://[::1]:8500");
  });

  it("refuses what it could not honour, without repeating a password", () => {
    expect(read(["--consul", "http://me:secret@consul:8500"])).toEqual({
      kind: "wrong",
      problems: ['--consul "http://…@consul:8500": must be a URL or HOST:PORT without user, query or fragment'],
    });
    expect(read(["--consul"], { CONSUL_HTTP_ADDR: "unix:///run/consul.sock" })).toMatchObject({ kind: "wrong" });
    expect(read(["--consul", "not an address"])).toMatchObject({ kind: "wrong" });
  });
});
