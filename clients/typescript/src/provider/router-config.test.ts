import { describe, expect, it } from "vitest";
import { DroverError } from "../errors/drover-error.ts";
import { NetworkAgentProvider, type RouterProviderConfig } from "../index.ts";

function problems(config: object): string {
  try {
    new NetworkAgentProvider(config as RouterProviderConfig);
  } catch (error) {
    if (error instanceof DroverError && error.reason === "INVALID_ARGUMENT_LOCAL") return error.message;
    throw error;
  }
  return "";
}

describe("the configuration over a router", () => {
  it("may be left out, or name routers and who is trusted", async () => {
    await new NetworkAgentProvider().dispose();
    const security = { token: "secret" };
    await new NetworkAgentProvider({ discovery: { router: ["http://127.0.0.1:1", "localhost"] }, security }).dispose();
  });

  it("says of what is the router's own where to set it, all at once", () => {
    const words = problems({
      loadBalancing: "weighted",
      healthCheck: { ejectAfter: 3 },
      connectionPool: { maxConnectionsPerAgent: 5 },
      discovery: { static: ["127.0.0.1:50052"], consul: {} },
    });
    expect(words).toContain("loadBalancing is the router's: start it with --policy.");
    expect(words).toContain("healthCheck is the router's: start it with --eject-after");
    expect(words).toContain("connectionPool is the router's: it holds the connections to agents.");
    expect(words).toContain("Without a router @drover/client/direct takes them.");
    expect(words).toContain("discovery.static finds agents, and this provider asks a router");
    expect(words).toContain("discovery.consul finds agents");
  });

  it("does not ignore what is misspelt", () => {
    expect(problems({ loadbalancing: "weighted" })).toBe(
      "loadbalancing is not known; there are discovery, loadBalancing, healthCheck, security, connectionPool.",
    );
    expect(problems({ discovery: { routers: [] } })).toContain(
      "discovery.routers is not known; there are discovery.router.",
    );
    expect(problems({ security: { Token: "x" } })).toContain("security.Token is not known");
    expect(problems({ discovery: { router: [] } })).toContain("the list is empty");
  });
});
