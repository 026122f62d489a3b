import { silentLogger } from "@drover/platform";
import { HEALTH_DEFAULTS, RETRY_DEFAULTS } from "@drover/routing";
import { describe, expect, it } from "vitest";
import { type DirectOptions, routingOptions } from "./direct-options.ts";

const signal = new AbortController().signal;
const read = (options: Omit<DirectOptions, "agents">) => routingOptions({ agents: "gpu-1", ...options }, signal);

describe("the options of a program that holds its fleet", () => {
  it("are those of a router, but for its connections, where nothing is said", () => {
    const { policy, health, retry, connections, name } = read({});
    const { consecutiveFailures, baseEjectionMs, maxEjectionMs, maxEjectedShare } = HEALTH_DEFAULTS;
    expect(health).toEqual({ consecutiveFailures, baseEjectionMs, maxEjectionMs, maxEjectedShare });
    expect([policy, retry]).toEqual(["weighted", { attemptsMax: RETRY_DEFAULTS.attemptsMax }]);
    expect(connections).toEqual({ maxConnectionsPerAgent: 5, idleTimeoutMs: 30_000, streamsPerConnection: 100 });
    expect(name).toMatch(/^client@./);
  });

  it("reach the library", () => {
    const options = read({
      loadBalancing: "round-robin",
      healthCheck: { ejectAfter: 2, ejectTimeMs: 1_000, ejectTimeMaxMs: 2_000, ejectShare: 0.25 },
      connectionPool: { maxConnectionsPerAgent: 2, idleTimeoutMs: 500, streamsPerConnection: 10 },
      attemptsMax: 1,
      name: "my program",
      log: silentLogger,
    });
    expect(options).toMatchObject({
      policy: "round-robin",
      health: { consecutiveFailures: 2, baseEjectionMs: 1_000, maxEjectionMs: 2_000, maxEjectedShare: 0.25 },
      connections: { maxConnectionsPerAgent: 2, idleTimeoutMs: 500, streamsPerConnection: 10 },
      retry: { attemptsMax: 1 },
      name: "my program",
    });
  });

  it("are refused with all that is wrong", () => {
    const wrong = {
      loadBalancing: "best" as "weighted",
      healthCheck: { ejectShare: 50 },
      connectionPool: { maxConnectionsPerAgent: 0 },
      attemptsMax: Number.NaN,
    };
    const words = [
      /"best" is none of .*weighted/,
      /ejectShare: 50 /,
      /maxConnectionsPerAgent: 0 /,
      /attemptsMax: NaN /,
    ];
    for (const part of words) expect(() => read(wrong)).toThrow(part);
    const misspelt = { conectionPool: {}, healthCheck: { ejectafter: 1 } };
    for (const part of [/conectionPool is not known/, /healthCheck.ejectafter is not known/]) {
      expect(() => read(misspelt as object)).toThrow(part);
    }
    expect(() => read({ healthCheck: { ejectTimeMs: 400_000 } })).toThrow(/must not be longer than/);
  });
});
