import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { ConfigError } from "../config-error.ts";
import { type ConfigOf, defineConfig, listOption, option, switchOption } from "./define.ts";
import { configOrHelp, loadConfig } from "./load.ts";
import { durationMs, hostPort, hostPortText, integer, labels, oneOf, text } from "./values.ts";

const definition = defineConfig({
  name: "drover-test",
  version: "1.2.3",
  summary: "A program for tests.",
  examples: ["drover-test --listen 127.0.0.1:1"],
  variables: { OLLAMA_HOST: "its Ollama" },
  options: {
    listen: option({
      flag: "listen",
      value: "HOST:PORT",
      schema: hostPort(),
      default: "127.0.0.1:50051",
      group: "Network",
      help: "Where callers reach it.",
    }),
    nodes: listOption({
      flag: "nodes",
      value: "HOST:PORT",
      schema: hostPortText(),
      group: "Fleet",
      help: "The nodes.",
    }),
    maxWaitMs: option({
      flag: "max-wait",
      value: "DURATION",
      schema: durationMs(),
      default: "120s",
      group: "Calls",
      help: "Longest wait.",
    }),
    queueLimit: option({ flag: "queue-limit", value: "N", schema: integer(1, 100), group: "Calls", help: "Entries." }),
    labels: option({ flag: "labels", value: "K=V,…", schema: labels(), default: "", group: "Fleet", help: "Labels." }),
    consul: option({
      flag: "consul",
      value: "ADDRESS",
      schema: text(),
      bare: (env) => env["CONSUL_HTTP_ADDR"] ?? "127.0.0.1:8500",
      group: "Fleet",
      help: "Uses Consul.",
    }),
    policy: option({
      flag: "policy",
      value: "NAME",
      schema: oneOf(["weighted", "round-robin"]),
      default: "weighted",
      group: "Calls",
      help: "Policy.",
    }),
    isInsecure: switchOption({ flag: "insecure", group: "Network", help: "Without TLS." }),
    ollama: option({
      flag: "ollama",
      value: "URL",
      schema: text(),
      default: (env) => env["OLLAMA_HOST"] ?? "local",
      defaultHelp: "OLLAMA_HOST",
      group: "Fleet",
      help: "Ollama.",
    }),
    isSampleOff: switchOption({ flag: "no-sample", group: "Calls", help: "No sample." }),
    config: option({ flag: "config", value: "FILE", schema: text(), group: "Other", help: "YAML file." }),
  },
  check: (config) =>
    config.isInsecure && config.listen.port === 1 ? ["--insecure and port 1 exclude each other"] : [],
});
type TestConfig = ConfigOf<typeof definition>;

const folder = mkdtempSync(join(tmpdir(), "drover-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  const path = join(folder, `${Math.random()}.yaml`);
  writeFileSync(path, content);
  return path;
}

function load(argv: string[], env: Record<string, string> = {}): TestConfig {
  const loaded = loadConfig(definition, { argv, env });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  return loaded.config;
}

function problems(argv: string[], env: Record<string, string> = {}): readonly string[] {
  const loaded = loadConfig(definition, { argv, env });
  return loaded.kind === "wrong" ? loaded.problems : [];
}

describe("loadConfig", () => {
  it("gives the defaults, typed, when nobody says anything", () => {
    const config = load([]);
    expect(config).toEqual({
      listen: { host: "127.0.0.1", port: 50051 },
      nodes: [],
      maxWaitMs: 120_000,
      queueLimit: undefined,
      labels: new Map(),
      consul: undefined,
      policy: "weighted",
      isInsecure: false,
      isSampleOff: false,
      ollama: "local",
      config: undefined,
    });
    expectTypeOf(config.maxWaitMs).toEqualTypeOf<number>();
    expectTypeOf(config.queueLimit).toEqualTypeOf<number | undefined>();
    expectTypeOf(config.policy).toEqualTypeOf<"weighted" | "round-robin">();
    expectTypeOf(config.nodes).toEqualTypeOf<readonly string[]>();
  });

  it("lets flags win over the environment and the environment over the file", () => {
    const path = file("max-wait: 1s\nqueue-limit: 7\npolicy: round-robin\ninsecure: true\n");
    const env = { DROVER_MAX_WAIT: "2s", DROVER_QUEUE_LIMIT: "8", DROVER_CONFIG: path };
    expect(load(["--max-wait", "3s"], env)).toMatchObject({
      maxWaitMs: 3000,
      queueLimit: 8,
      policy: "round-robin",
      isInsecure: true,
    });
    expect(load(["--config", path], { DROVER_INSECURE: "no" })).toMatchObject({ maxWaitMs: 1000, isInsecure: false });
  });

  it("reads lists, maps and repeated flags", () => {
    expect(load(["--nodes", "a:1,b:2", "--nodes", "c:3"]).nodes).toEqual(["a:1", "b:2", "c:3"]);
    const config = load(["--config", file("nodes: [a:1, b:2]\nlabels:\n  gpu: a100\n  zone: eu\n")]);
    expect(config.nodes).toEqual(["a:1", "b:2"]);
    expect(config.labels).toEqual(
      new Map([
        ["gpu", "a100"],
        ["zone", "eu"],
      ]),
    );
  });

  it("takes an optional value from where the option says", () => {
    expect(load(["--consul"]).consul).toBe("127.0.0.1:8500");
    expect(load(["--consul", "--insecure"], { CONSUL_HTTP_ADDR: "c:1" })).toMatchObject({
      consul: "c:1",
      isInsecure: true,
    });
    expect(load(["--consul", "other:8500"]).consul).toBe("other:8500");
    expect(load([], { DROVER_CONSUL: "true" }).consul).toBe("127.0.0.1:8500");
    expect(load([], { OLLAMA_HOST: "gpu:1" }).ollama).toBe("gpu:1");
  });

  it("takes a flag that starts with no- as a switch of its own", () => {
    expect(load(["--no-sample"]).isSampleOff).toBe(true);
    expect(load([], { DROVER_NO_SAMPLE: "1" }).isSampleOff).toBe(true);
  });

  it("takes an empty variable as absent", () => {
    expect(load([], { DROVER_MAX_WAIT: "", DROVER_NODES: "" })).toMatchObject({ maxWaitMs: 120_000, nodes: [] });
  });

  it("reports everything that is wrong at once, with where it stands", () => {
    const path = file("policy: fastest\nlisten-to: x\nlabels: [1, {a: b}]\n");
    const found = problems(["--listen", "nowhere", "--bogus", "value", "--max-wiat=3s", "--config", path], {
      DROVER_QUEUE_LIMIT: "0",
      DROVER_NODES: "a:1,b",
      DROVER_MAX_WAIT: "90",
    });
    expect(found).toEqual([
      "--bogus: there is no such flag; --help lists all",
      "--max-wiat: there is no such flag; did you mean --max-wait?",
      `${path}: there is no key listen-to; did you mean listen?`,
      `${path}: labels must be a text, a number, a list or a map of texts`,
      '--listen "nowhere": must be HOST:PORT, as 127.0.0.1:50051',
      'DROVER_NODES "b": must be HOST:PORT, as 127.0.0.1:50051',
      'DROVER_MAX_WAIT "90": must be a duration with its unit, as 250ms, 120s, 5m or 1h',
      'DROVER_QUEUE_LIMIT "0": must be a whole number from 1 to 100',
      'policy in the file "fastest": must be one of weighted, round-robin',
    ]);
  });

  it("names a flag without its value, a stray word, and a file that is missing or no YAML", () => {
    expect(problems(["--listen"])).toEqual(["--listen: needs a value, HOST:PORT"]);
    expect(problems(["serve"])).toEqual(["serve: flags start with --; --help lists all"]);
    expect(problems(["--config", "/nonexistent"])).toEqual(["--config /nonexistent: there is no such file"]);
    expect(problems(["--config", file("a: [")])[0]).toMatch(/^--config .*: /);
    expect(problems(["--config", file("- a\n")])[0]).toMatch(/must hold `key: value` lines/);
    expect(problems(["--config", file(`a: ${"x".repeat(1024 * 1024)}`)])[0]).toMatch(/larger than 1 MiB/);
    expect(problems([], { DROVER_INSECURE: "maybe" })).toEqual(["DROVER_INSECURE maybe: must be true or false"]);
  });

  it("asks for contradictions only when each value is right", () => {
    expect(problems(["--insecure", "--listen", "a:1"])).toEqual(["--insecure and port 1 exclude each other"]);
    expect(problems(["--insecure", "--listen", "a:1", "--queue-limit", "x"])).toHaveLength(1);
  });

  it("prints help with groups, defaults, variables and an example, even beside wrong flags", () => {
    const loaded = loadConfig(definition, { argv: ["--bogus", "--help"], env: {} });
    if (loaded.kind !== "help") throw new Error(loaded.kind);
    for (const part of [
      "A program for tests.",
      "Durations carry their unit: 500ms, 30s, 5m, 1h.",
      "Other variables:\n  OLLAMA_HOST  its Ollama\n",
      "Network:",
      "--listen <HOST:PORT>",
      "Where callers reach it. (default 127.0.0.1:50051; env DROVER_LISTEN)",
      "--consul [ADDRESS]",
      "(default OLLAMA_HOST; env DROVER_OLLAMA)",
      "The nodes. (default none; may be repeated; env DROVER_NODES)",
      "Entries. (default none; env DROVER_QUEUE_LIMIT)",
      "Without TLS. (default off; env DROVER_INSECURE)",
      "drover-test --listen 127.0.0.1:1",
    ]) {
      expect(loaded.text).toContain(part);
    }
  });

  it("prints the version, and that of Node", () => {
    expect(loadConfig(definition, { argv: ["--version"], env: {} })).toEqual({
      kind: "help",
      text: `drover-test 1.2.3 (Node ${process.versions.node})\n`,
    });
  });
});

describe("configOrHelp", () => {
  it("prints help and returns nothing, or throws all problems", () => {
    const printed: string[] = [];
    const print = (line: string): void => void printed.push(line);
    expect(configOrHelp(definition, { argv: ["-h"], env: {}, print })).toBeUndefined();
    expect(printed.join("")).toContain("Usage: drover-test");
    expect(() => configOrHelp(definition, { argv: ["--x", "--y"], env: {}, print })).toThrow(ConfigError);
    expect(configOrHelp(definition, { argv: [], env: {}, print })?.policy).toBe("weighted");
  });
});
