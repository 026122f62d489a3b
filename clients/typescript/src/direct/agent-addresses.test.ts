import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatHostPort } from "@drover/platform";
import { afterAll, describe, expect, it } from "vitest";
import { DroverError } from "../errors/drover-error.ts";
import { readAgentAddresses } from "./agent-addresses.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-direct-"));
afterAll(() => rmSync(folder, { recursive: true }));

function problemOf(given: string | readonly string[], env = {}): string {
  try {
    readAgentAddresses(given, env);
  } catch (error) {
    if (error instanceof DroverError && error.reason === "INVALID_ARGUMENT_LOCAL") return error.message;
    throw error;
  }
  return "";
}

describe("where agents are", () => {
  it.each([
    ["gpu-1", "gpu-1:50052"],
    ["gpu-1:7", "gpu-1:7"],
    ["http://gpu-1:7", "gpu-1:7"],
    ["http://gpu-1/", "gpu-1:50052"],
    [" 10.0.0.1 ", "10.0.0.1:50052"],
    ["[fd00::1]:7", "[fd00::1]:7"],
  ])("is said as %o", (text, endpoint) => {
    expect(readAgentAddresses(text, {}).nodes?.map(formatHostPort)).toEqual([endpoint]);
  });

  it.each([
    ["dns:///ollama.internal", "ollama.internal:50052"],
    ["dns:///ollama:7", "ollama:7"],
    ["dns:ollama:7", "ollama:7"],
  ])("is a name for DNS as %o", (text, name) => {
    const { dns, nodes } = readAgentAddresses(text, {});
    expect([dns?.map(formatHostPort), nodes]).toEqual([[name], []]);
  });

  it.each([
    ["consul://drover-agent", {}, "http://127.0.0.1:8500"],
    ["consul://drover-agent", { CONSUL_HTTP_ADDR: "https://consul.internal/" }, "https://consul.internal"],
    ["consul://consul.internal:8501/drover-agent", { CONSUL_HTTP_ADDR: "unused" }, "http://consul.internal:8501"],
  ])("is a Consul as %o with %o", (text, env, url) => {
    expect(readAgentAddresses(text, env).consul?.url).toBe(url);
  });

  it("is asked for with Consul's own token", () => {
    writeFileSync(join(folder, "token"), "from-file\n");
    const tokenOf = (env: Record<string, string>) => readAgentAddresses("consul://drover-agent", env).consul?.token();
    expect(tokenOf({ CONSUL_HTTP_TOKEN: "secret" })).toBe("secret");
    expect(tokenOf({ CONSUL_HTTP_TOKEN: "secret", CONSUL_HTTP_TOKEN_FILE: join(folder, "token") })).toBe("from-file");
    expect(problemOf("consul://drover-agent", { CONSUL_HTTP_TOKEN_FILE: join(folder, "none") })).toContain("ENOENT");
  });

  it("is all of them together", () => {
    const read = readAgentAddresses(["gpu-1", "gpu-2:7", "dns:///ollama", "consul://drover-agent"], {});
    expect([read.nodes?.length, read.dns?.length, read.consul?.url]).toEqual([2, 1, "http://127.0.0.1:8500"]);
  });

  it.each([
    ["", '"" is none of'],
    ["https://gpu-1", "is none of host:50052"],
    ["gpu-1:0", "is none of"],
    ["gpu 1", "is none of"],
    ["dns://8.8.8.8/name", "is none of"],
    ["consul://drover-router", "drover-agent is theirs"],
    ["consul://no address/drover-agent", "no address"],
  ])("is not %o", (text, words) => {
    expect(problemOf(text)).toContain(words);
  });

  it("is said wrong once for everything that is wrong", () => {
    const problem = problemOf(["gpu 1", "ok", "consul://drover-agent", "consul://a:1/drover-agent", "x y"]);
    for (const part of ["gpu 1", "x y", "one Consul is enough"]) expect(problem).toContain(part);
    expect(problemOf([])).toContain("the list is empty");
    expect(problemOf(Array.from({ length: 10_001 }, () => "a"))).toContain("at most 10000");
  });
});
