import { describe, expect, it } from "vitest";
import { DroverError } from "../errors/drover-error.ts";
import { AgentProvider } from "../provider/agent-provider.ts";
import { NetworkAgentProvider } from "./network-agent-provider.ts";
import { type DirectProviderConfig, directSource } from "./provider-config.ts";

function problems(config: object): string {
  try {
    new NetworkAgentProvider(config as DirectProviderConfig);
  } catch (error) {
    if (error instanceof DroverError && error.reason === "INVALID_ARGUMENT_LOCAL") return error.message;
    throw error;
  }
  return "";
}

const discovery = { static: "127.0.0.1:50052" };

describe("the configuration without a router", () => {
  it("finds agents in a list, in Consul and in DNS, and names them all when none is heard of", () => {
    const { target } = directSource({
      discovery: { static: ["a:50052", "b"], dns: "agents.internal", consul: { address: "consul:8500" } },
    });
    expect(target).toBe("agents a:50052, b, dns:///agents.internal, consul://consul:8500/drover-agent");
    expect(directSource({ discovery: { consul: {} } }).target).toBe("agents consul://drover-agent");
    const many = Array.from({ length: 12 }, (_, index) => `n${index}`);
    expect(directSource({ discovery: { static: many } }).target).toContain("n9 and 2 more");
  });

  it("says all that is wrong at once", () => {
    const words = problems({
      discovery: { static: ["127.0.0.1:1"], router: "x", Consul: {} },
      loadBalancing: "fastest",
      healthCheck: { ejectAfter: 0, interval: 5 },
      connectionPool: { maxConnectionsPerAgent: 0, max: 1 },
      security: { token: "secret" },
      pool: {},
    });
    for (const part of [
      "discovery.router: a router is reached by the provider of @drover/client.",
      "discovery.Consul is not known; there are discovery.static, discovery.consul, discovery.dns.",
      'loadBalancing: "fastest" is none of weighted',
      "healthCheck.ejectAfter: 0 is not a number from 1 to 1000.",
      "healthCheck.interval is not known",
      "connectionPool.maxConnectionsPerAgent: 0 is not a number",
      "connectionPool.max is not known",
      "security: agents ask nobody for a token",
      "pool is not known; there are discovery,",
    ]) {
      expect(words).toContain(part);
    }
    expect(words).not.toContain("secret");
  });

  it("asks where agents are", () => {
    const words = "discovery: say where agents are, with static, consul or dns.";
    expect(problems({})).toBe(words);
    expect(problems({ discovery: { static: [] } })).toBe(words);
    expect(problems({ discovery: { static: ["http://"] } })).toContain('"http://" is none of host:50052');
  });
});

it("has the surface of the provider over a router, and opens nothing before it is used", async () => {
  expect(Object.getOwnPropertyNames(NetworkAgentProvider.prototype)).toEqual(["constructor"]);
  const provider = new NetworkAgentProvider({ discovery });
  expect(provider).toBeInstanceOf(AgentProvider);
  await provider.dispose();
});

it("names the agents that it tried in vain", async () => {
  await using provider = new NetworkAgentProvider({ discovery: { static: "127.0.0.1:9" } });
  const error = await provider.initialize({ timeoutMs: 200 }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ reason: "FLEET_NOT_READY", status: "UNAVAILABLE" });
  expect(String(error)).toMatch(
    /Tried: agents 127\.0\.0\.1:9\. It names 127\.0\.0\.1:9 \(nothing listens .*is drover-agent running there\?\)\.$/,
  );
});
